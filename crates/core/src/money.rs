//! Money: whole nano-dollars, so that sums are exact and nothing is ever lost in a float.

use std::error::Error;
use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

/// An amount of money in billionths of a US dollar: up to about 18 billion dollars, never negative.
///
/// ```
/// use backstop_core::NanoUsd;
///
/// let limit = NanoUsd::from_usd_str("30")?;
/// let cost = NanoUsd::from_usd_str("0.000000001")?;
/// assert_eq!((limit.saturating_add(cost)).to_string(), "30.000000001");
/// assert!(NanoUsd::from_usd_str("0.0000000001").is_err());
/// # Ok::<(), backstop_core::InvalidUsd>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(u64);

/// One dollar, in nano-dollars.
const DOLLAR: u64 = 1_000_000_000;

impl NanoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than anybody spends: about 18 billion dollars.
    pub const MAX: Self = Self(u64::MAX);

    /// So many nano-dollars.
    #[must_use]
    pub const fn from_nano(nano: u64) -> Self {
        Self(nano)
    }

    /// The nano-dollars.
    #[must_use]
    pub const fn as_nano(self) -> u64 {
        self.0
    }

    /// Reads dollars as plain decimal text, such as `30` or `0.25`, exactly: no sign, no exponent.
    ///
    /// # Errors
    ///
    /// The text is no such number, is finer than a nano-dollar, or exceeds [`NanoUsd::MAX`].
    pub fn from_usd_str(text: &str) -> Result<Self, InvalidUsd> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(InvalidUsd::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return Err(InvalidUsd::TooFine);
        }
        let nano = fraction
            .bytes()
            .chain(std::iter::repeat(b'0'))
            .take(9)
            .fold(0, |nano, digit| nano * 10 + u64::from(digit - b'0'));
        whole
            .parse::<u64>()
            .ok()
            .and_then(|dollars| dollars.checked_mul(DOLLAR))
            .and_then(|dollars| dollars.checked_add(nano))
            .map(Self)
            .ok_or(InvalidUsd::TooLarge)
    }

    /// The sum, unless it exceeds [`NanoUsd::MAX`].
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, unless `other` is more.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The sum, or [`NanoUsd::MAX`].
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or nothing.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times as much, or [`NanoUsd::MAX`].
    #[must_use]
    pub const fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

/// Adds up; stops at [`NanoUsd::MAX`].
impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

/// Dollars, exactly, without trailing zeros: `30`, `0.25`, `30.000000001`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The longest amount has as many digits, and a point.
        let mut text = [0; 21];
        let mut at = text.len();
        let mut put = |byte| {
            at -= 1;
            text[at] = byte;
        };
        let digit = |number: u64| b'0' + (number % 10) as u8;
        let (mut dollars, mut nano) = (self.0 / DOLLAR, self.0 % DOLLAR);
        if nano > 0 {
            let mut places = 9;
            while nano.is_multiple_of(10) {
                nano /= 10;
                places -= 1;
            }
            for _ in 0..places {
                put(digit(nano));
                nano /= 10;
            }
            put(b'.');
        }
        loop {
            put(digit(dollars));
            dollars /= 10;
            if dollars == 0 {
                break;
            }
        }
        f.pad(std::str::from_utf8(&text[at..]).expect("digits are ASCII"))
    }
}

impl FromStr for NanoUsd {
    type Err = InvalidUsd;

    fn from_str(text: &str) -> Result<Self, InvalidUsd> {
        Self::from_usd_str(text)
    }
}

/// Why a text is no amount of dollars.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidUsd {
    /// It is not plain decimal digits; a sign or an exponent is none.
    NotDecimal,
    /// It is finer than a billionth of a dollar.
    TooFine,
    /// It is more than [`NanoUsd::MAX`].
    TooLarge,
}

impl fmt::Display for InvalidUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => "not an amount of dollars such as 30 or 0.25",
            Self::TooFine => "finer than a billionth of a dollar",
            Self::TooLarge => "more than 18 billion dollars",
        })
    }
}

impl Error for InvalidUsd {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_exactly_or_not_at_all() {
        let nano = |text| NanoUsd::from_usd_str(text).map(NanoUsd::as_nano);
        assert_eq!(nano("30"), Ok(30_000_000_000));
        assert_eq!(nano("0.1"), Ok(100_000_000));
        assert_eq!(nano("0.1000000000000"), Ok(100_000_000));
        assert_eq!(nano("18446744073.709551615"), Ok(u64::MAX));
        assert_eq!(nano("18446744073.709551616"), Err(InvalidUsd::TooLarge));
        assert_eq!(nano("99999999999999999999"), Err(InvalidUsd::TooLarge));
        assert_eq!(nano("0.0000000001"), Err(InvalidUsd::TooFine));
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "1.-5", "NaN",
        ] {
            assert_eq!(nano(text), Err(InvalidUsd::NotDecimal), "{text}");
        }
    }

    #[test]
    fn is_written_without_what_says_nothing() {
        let text = |nano| NanoUsd::from_nano(nano).to_string();
        assert_eq!(text(0), "0");
        assert_eq!(text(1), "0.000000001");
        assert_eq!(text(250_000_000), "0.25");
        assert_eq!(text(1_230_000_000_000), "1230");
        assert_eq!(text(u64::MAX), "18446744073.709551615");
        assert_eq!(format!("{:>6}|", NanoUsd::from_nano(DOLLAR)), "     1|");
    }

    #[test]
    fn arithmetic_stops_at_its_ends() {
        assert_eq!(NanoUsd::MAX.checked_add(NanoUsd::from_nano(1)), None);
        assert_eq!(NanoUsd::MAX.saturating_mul(2), NanoUsd::MAX);
        assert_eq!(
            NanoUsd::ZERO.saturating_sub(NanoUsd::from_nano(1)),
            NanoUsd::ZERO
        );
        assert_eq!(
            [NanoUsd::MAX, NanoUsd::MAX].into_iter().sum::<NanoUsd>(),
            NanoUsd::MAX
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nano in any::<u64>()) {
            let amount = NanoUsd::from_nano(nano);
            prop_assert_eq!(NanoUsd::from_usd_str(&amount.to_string()), Ok(amount));
        }
    }
}
