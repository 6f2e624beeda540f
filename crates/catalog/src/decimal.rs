//! Decimal numbers as JSON spells them, made integers without a float in between.

/// Why a number is no price and no count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDecimal {
    Syntax,
    Negative,
    TooLarge,
}

impl NotDecimal {
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Syntax => "is not a number",
            Self::Negative => "is negative",
            Self::TooLarge => "is too large",
        }
    }
}

/// More digits than any price has, and fewer than overflow the arithmetic.
const DIGITS: u32 = 18;

/// `text` times ten to the power of `places`, rounded up, and whether that was exact.
pub(crate) fn scaled(text: &str, places: i64) -> Result<(u64, bool), NotDecimal> {
    let (text, negative) = match text.strip_prefix('-') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(NotDecimal::Syntax);
    }
    let mut value = 0_u128;
    let mut kept = 0;
    // How many digits of those that were not kept stand before the point, and whether any says something.
    let (mut power, mut rest) = (exponent + places - fraction.len() as i64, false);
    for digit in whole.bytes().chain(fraction.bytes()) {
        if kept == DIGITS {
            power += 1;
            rest |= digit != b'0';
        } else {
            value = value * 10 + u128::from(digit - b'0');
            kept += u32::from(value > 0);
        }
    }
    if value == 0 {
        return Ok((0, true));
    }
    if negative {
        return Err(NotDecimal::Negative);
    }
    let ten_to = |power: i64| {
        let power = u32::try_from(power).ok()?;
        10_u128.checked_pow(power)
    };
    let scaled = if power >= 0 {
        ten_to(power).and_then(|factor| value.checked_mul(factor))
    } else {
        // Smaller than one where the divisor overflows: the value has no more than `DIGITS` digits.
        let divisor = ten_to(-power).unwrap_or(u128::MAX);
        rest |= !value.is_multiple_of(divisor);
        Some(value / divisor)
    };
    scaled
        .and_then(|scaled| scaled.checked_add(rest.into()))
        .and_then(|scaled| u64::try_from(scaled).ok())
        .map(|scaled| (scaled, !rest))
        .ok_or(NotDecimal::TooLarge)
}

/// An exponent; one of absurd size is as good as a million.
fn exponent(text: &str) -> Result<i64, NotDecimal> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotDecimal::Syntax);
    }
    let size = digits.parse().unwrap_or(i64::MAX).min(1_000_000);
    Ok(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exponents_and_fractions_are_exact() {
        assert_eq!(scaled("1.5e-06", 15), Ok((1_500_000_000, true)));
        assert_eq!(scaled("3E-7", 15), Ok((300_000_000, true)));
        assert_eq!(scaled("2.5", 9), Ok((2_500_000_000, true)));
        assert_eq!(scaled("1e3", 0), Ok((1000, true)));
        assert_eq!(scaled("128000.0", 0), Ok((128_000, true)));
        assert_eq!(scaled("0.0", 9), Ok((0, true)));
        assert_eq!(scaled("-0.0", 9), Ok((0, true)));
    }

    #[test]
    fn what_is_too_fine_is_rounded_up_and_told() {
        assert_eq!(scaled("0.0000000001", 9), Ok((1, false)));
        assert_eq!(scaled("1.0000000001", 9), Ok((1_000_000_001, false)));
        assert_eq!(scaled("1e-999999999999999999999", 9), Ok((1, false)));
        assert_eq!(
            scaled("1.00000000000000000000000000000000000000000001", 9),
            Ok((1_000_000_001, false))
        );
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        assert_eq!(scaled("-1", 9), Err(NotDecimal::Negative));
        assert_eq!(scaled("1e30", 9), Err(NotDecimal::TooLarge));
        assert_eq!(scaled("99999999999999999999", 9), Err(NotDecimal::TooLarge));
        for text in ["", ".", "1.", ".5", "e5", "1e", "1e+", "NaN", "0x1", "1 "] {
            assert_eq!(scaled(text, 9), Err(NotDecimal::Syntax), "{text}");
        }
    }

    proptest! {
        #[test]
        fn spelling_does_not_matter(value in 0_u64..1_000_000_000_000, shift in 0_i64..12) {
            let moved = format!("{value}e-{shift}");
            prop_assert_eq!(scaled(&moved, shift), Ok((value, true)));
        }
    }
}
