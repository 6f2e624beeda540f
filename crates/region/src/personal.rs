//! Plain rules that find the identifiers people are known by.

mod iban;

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

use backstop_core::BoxError;

use crate::Classifier;

/// A [`Classifier`] that knows e-mail addresses, IBANs, payment cards and US social security numbers by their form and
/// their check digits.
///
/// It finds `pii` in any of them, and `financial` in an IBAN or a card. It reads no names, addresses or meaning, and
/// where in doubt it finds: that can only narrow. JSON escapes are undone first, so the bytes of a request can be given
/// as they came.
#[derive(Clone)]
pub struct PersonalData<F> {
    read: F,
}

impl<F> PersonalData<F> {
    /// Looks at the text that `read` takes from a request.
    #[must_use]
    pub const fn reading(read: F) -> Self {
        Self { read }
    }
}

impl<F, Req, T> Classifier<Req> for PersonalData<F>
where
    F: Fn(&Req) -> T,
    T: AsRef<[u8]>,
{
    type Future = Ready<Result<Vec<Arc<str>>, BoxError>>;

    fn classify(&self, request: &Req) -> Self::Future {
        let text = unescaped((self.read)(request).as_ref());
        let financial = has_iban(&text) || has_card(&text);
        let mut classes = Vec::new();
        if financial || has_email(&text) || has_ssn(&text) {
            classes.push("pii".into());
        }
        if financial {
            classes.push("financial".into());
        }
        ready(Ok(classes))
    }
}

impl<F> fmt::Debug for PersonalData<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonalData").finish_non_exhaustive()
    }
}

/// The text with JSON's escapes undone; what is not UTF-8 is no letter of anything.
fn unescaped(bytes: &[u8]) -> Vec<char> {
    let text = String::from_utf8_lossy(bytes);
    let mut chars = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            chars.push(next);
            continue;
        }
        match rest.next() {
            Some('u') => {
                let digits: String = rest.clone().take(4).collect();
                match u32::from_str_radix(&digits, 16).ok().map(char::from_u32) {
                    Some(escaped) => {
                        chars.push(escaped.unwrap_or(' '));
                        rest.nth(3);
                    }
                    None => chars.push('u'),
                }
            }
            // Line ends and the like part words.
            Some('b' | 'f' | 'n' | 'r' | 't') => chars.push(' '),
            Some(escaped) => chars.push(escaped),
            None => {}
        }
    }
    chars
}

/// Something, `@`, a domain with a dot in it.
fn has_email(text: &[char]) -> bool {
    let ats = text
        .iter()
        .enumerate()
        .filter(|(_, letter)| **letter == '@');
    let is_local =
        |letter: char| letter.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.\"".contains(letter);
    ats.into_iter().any(|(at, _)| {
        let domain: String = text[at + 1..]
            .iter()
            .take_while(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '.'))
            .collect();
        let dotted = domain
            .trim_end_matches('.')
            .rsplit_once('.')
            .is_some_and(|(host, top)| !host.is_empty() && top.chars().count() >= 2);
        dotted && at > 0 && is_local(text[at - 1])
    })
}

/// Where each group of digits begins.
fn numbers(text: &[char]) -> impl Iterator<Item = usize> {
    let is_digit = |at: usize| text[at].is_ascii_digit();
    (0..text.len()).filter(move |&at| is_digit(at) && (at == 0 || !is_digit(at - 1)))
}

/// The groups of digits at the beginning of a text, with one blank or hyphen between them.
fn groups(text: &[char]) -> impl Iterator<Item = &[char]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let is_digit = |letter: &char| letter.is_ascii_digit();
        let end = text.iter().position(|letter| !is_digit(letter));
        let (group, behind) = text.split_at(end.unwrap_or(text.len()));
        if let [' ' | '-' | '\u{a0}', next @ ..] = behind
            && next.first().is_some_and(is_digit)
        {
            rest = Some(next);
        }
        Some(group)
    })
}

/// 13 to 19 digits, in whole groups, with Luhn's check digit. Cards begin with 2 to 6.
fn has_card(text: &[char]) -> bool {
    numbers(text).any(|at| {
        let mut number = Vec::new();
        for group in groups(&text[at..]) {
            if number.len() + group.len() > 19 {
                return false;
            }
            number.extend(group.iter().filter_map(|letter| letter.to_digit(10)));
            if number.len() >= 13 && (2..=6).contains(&number[0]) && is_luhn(&number) {
                return true;
            }
        }
        false
    })
}

fn is_luhn(number: &[u32]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Three, two and four digits apart, of which none are all zeros; numbers from 900 on and 666 are not issued.
fn has_ssn(text: &[char]) -> bool {
    numbers(text).any(|at| {
        let mut groups = groups(&text[at..]);
        let (Some(area), Some(group), Some(serial)) = (groups.next(), groups.next(), groups.next())
        else {
            return false;
        };
        let zeros = |digits: &[char]| digits.iter().all(|&digit| digit == '0');
        (area.len(), group.len(), serial.len()) == (3, 2, 4)
            && ![area, group, serial].into_iter().any(zeros)
            && area[0] != '9'
            && area != ['6', '6', '6']
    })
}

/// A country, two check digits and the rest of that country's length, whose remainder by 97 is 1.
fn has_iban(text: &[char]) -> bool {
    let begins_word = |at: usize| at == 0 || !text[at - 1].is_alphanumeric();
    (0..text.len()).filter(|&at| begins_word(at)).any(|at| {
        let mut number = String::new();
        for &letter in &text[at..] {
            match letter {
                letter if letter.is_ascii_alphanumeric() => {
                    number.push(letter.to_ascii_uppercase());
                }
                ' ' | '-' | '\u{a0}' if !number.is_empty() => {}
                _ => break,
            }
            if number.len() == iban::LONGEST {
                break;
            }
        }
        iban::length(&number)
            .and_then(|length| number.get(..length))
            .is_some_and(iban::is_valid)
    })
}

#[cfg(test)]
mod tests;
