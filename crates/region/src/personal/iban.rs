//! How long each country's IBANs are, from SWIFT's IBAN registry, and their check.

/// No country's are longer.
pub(super) const LONGEST: usize = 34;

#[rustfmt::skip]
const LENGTHS: [&str; 85] = [
    "AD24", "AE23", "AL28", "AT20", "AZ28", "BA20", "BE16", "BG22", "BH22", "BI27", "BR29", "BY28", "CH21", "CR22",
    "CY28", "CZ24", "DE22", "DJ27", "DK18", "DO28", "EE20", "EG29", "ES24", "FI18", "FK18", "FO18", "FR27", "GB22",
    "GE22", "GI23", "GL18", "GR27", "GT28", "HR21", "HU28", "IE22", "IL23", "IQ23", "IS26", "IT27", "JO30", "KW30",
    "KZ20", "LB28", "LC32", "LI21", "LT20", "LU20", "LV21", "LY25", "MC27", "MD24", "ME22", "MK19", "MN20", "MR27",
    "MT31", "MU30", "NI28", "NL18", "NO15", "OM23", "PK24", "PL28", "PS29", "PT25", "QA29", "RO24", "RS22", "RU33",
    "SA24", "SC31", "SD18", "SE24", "SI19", "SK24", "SM27", "SO23", "ST25", "SV28", "TL23", "TN24", "TR26", "UA29",
    "VA22",
];

/// How long a number that begins like this is.
pub(super) fn length(number: &str) -> Option<usize> {
    let country = number.get(..2)?;
    let known = LENGTHS.iter().find_map(|known| known.strip_prefix(country));
    match country {
        "VG" => Some(24),
        "XK" => Some(20),
        "YE" => Some(30),
        _ => known?.parse().ok(),
    }
}

/// The first four letters to the end, letters as 10 to 35: the remainder by 97 is 1.
pub(super) fn is_valid(number: &str) -> bool {
    let (head, rest) = number.split_at(4);
    let digits = rest.chars().chain(head.chars());
    let remainder = digits
        .filter_map(|letter| letter.to_digit(36))
        .fold(0, |sum, value| {
            let shift = if value < 10 { 10 } else { 100 };
            (sum * shift + value) % 97
        });
    remainder == 1
}
