use super::*;

fn classes(text: &str) -> Vec<Arc<str>> {
    let classifier = PersonalData::reading(|text: &&str| text.as_bytes().to_vec());
    let found = classifier.classify(&text).into_inner();
    found.expect("plain rules cannot fail")
}

#[test]
fn identifiers_are_found_by_form_and_check_digits() {
    for (text, found) in [
        // E-mail.
        ("write to ada@example.org please", &["pii"][..]),
        ("ADA.Lovelace+x@mail.example.co.uk", &["pii"]),
        ("jürgen@exämple.de", &["pii"]),
        (r#"{"content":"ada@example.org"}"#, &["pii"]),
        ("meet me @ noon", &[]),
        ("@example.org", &[]),
        ("a@b", &[]),
        ("ada@localhost", &[]),
        // Cards: Visa, Amex, Mastercard, in groups and not.
        ("4111 1111 1111 1111", &["pii", "financial"]),
        ("4111-1111-1111-1111 123", &["pii", "financial"]),
        ("pay with 378282246310005.", &["pii", "financial"]),
        ("5555555555554444", &["pii", "financial"]),
        ("no 17, 4111 1111 1111 1111", &["pii", "financial"]),
        ("4111 1111 1111 1112", &[]),
        ("1111 1111 1111 1117", &[]),
        // IBANs.
        ("DE89 3704 0044 0532 0130 00", &["pii", "financial"]),
        ("to GB82WEST12345698765432, thanks", &["pii", "financial"]),
        ("nl91abna0417164300", &["pii", "financial"]),
        ("GB82 WEST 1234 5698 7654 33", &[]),
        ("XX82 WEST 1234 5698 7654 32", &[]),
        // Social security numbers.
        ("SSN 078-05-1120", &["pii"]),
        ("078 05 1120", &["pii"]),
        ("000-12-3456", &[]),
        ("666-12-3456", &[]),
        ("900-12-3456", &[]),
        ("123-00-4567", &[]),
        ("123-45-0000", &[]),
        ("078051120", &[]),
        // Nothing.
        ("What is 2 + 2?", &[]),
        ("2026-11-21 10:42:15", &[]),
        ("", &[]),
    ] {
        let found: Vec<Arc<str>> = found.iter().map(|&class| class.into()).collect();
        assert_eq!(classes(text), found, "{text}");
    }
}

#[test]
fn escapes_hide_nothing() {
    for text in [
        r"ada\u0040example.org",
        r"\u0061da@example\u002eorg",
        r"4111\u00201111\u00a01111 1111",
        r"card:\n4111111111111111\n",
        r"\t078-05-1120",
    ] {
        assert!(!classes(text).is_empty(), "{text}");
    }
}

#[test]
fn broken_escapes_are_no_panic() {
    for text in ["\\", "\\u", "\\u12", "\\uzzzz", "\\ud800", "a\\"] {
        assert!(classes(text).is_empty(), "{text}");
    }
}

#[test]
fn every_country_in_the_registry_has_a_length() {
    for (country, expected) in [
        ("NO15", 15),
        ("RU04", 33),
        ("VG96", 24),
        ("XK05", 20),
        ("MT84", 31),
    ] {
        assert_eq!(iban::length(country), Some(expected));
    }
    assert_eq!(iban::length("ZZ"), None);
}

#[test]
fn long_rows_of_numbers_are_read_in_one_pass() {
    let (digits, groups) = ("1".repeat(1 << 18), "1 ".repeat(1 << 17));
    for text in [&*digits, &groups, &format!("{groups}4111 1111 1111 1111")] {
        let found = classes(text);
        assert_eq!(found.is_empty(), !text.ends_with("1111 1111"));
    }
}
