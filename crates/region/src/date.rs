use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use backstop_core::wall;

/// A day of the calendar, in UTC.
///
/// ```
/// use backstop_region::Date;
///
/// let end: Date = "2027-03-01".parse()?;
/// let today: Date = "2027-02-27".parse()?;
/// assert_eq!(today.days_until(end), 2);
/// # Ok::<(), backstop_region::InvalidDate>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Since 1970-01-01.
    days: i64,
}

impl Date {
    /// The day of this year, month (1 to 12) and day of the month; `None` if the calendar has no such day.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let days = days(i64::from(year), i64::from(month), i64::from(day));
        let date = Self { days };
        let exists = (1..=12).contains(&month)
            && day >= 1
            && date.civil() == (i64::from(year), i64::from(month), i64::from(day));
        exists.then_some(date)
    }

    /// Today.
    #[must_use]
    pub fn today() -> Self {
        Self::from(wall::now())
    }

    /// How many days from this one to `other`: negative if that is past.
    #[must_use]
    pub const fn days_until(self, other: Self) -> i64 {
        other.days - self.days
    }

    /// The year, month and day; Howard Hinnant's `civil_from_days`.
    const fn civil(self) -> (i64, i64, i64) {
        let shifted = self.days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        let year = year_of_era + era * 400 + (month <= 2) as i64;
        (year, month, day)
    }
}

/// Howard Hinnant's `days_from_civil`.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl From<SystemTime> for Date {
    fn from(time: SystemTime) -> Self {
        let seconds = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        Self {
            days: i64::try_from(seconds / 86_400).unwrap_or(i64::MAX),
        }
    }
}

impl FromStr for Date {
    type Err = InvalidDate;

    /// Reads `2027-03-01`.
    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let read = || {
            let (year, rest) = text.split_once('-')?;
            let (month, day) = rest.split_once('-')?;
            let digits =
                [year, month, day].map(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            if (year.len(), month.len(), day.len()) != (4, 2, 2) || digits != [true; 3] {
                return None;
            }
            Self::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
        };
        read().ok_or_else(|| InvalidDate { text: text.into() })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A text that is no day of the form `2027-03-01`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDate {
    text: Box<str>,
}

impl fmt::Display for InvalidDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a day such as 2027-03-01", self.text)
    }
}

impl Error for InvalidDate {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn days_are_written_as_they_are_read() {
        for text in [
            "1970-01-01",
            "2000-02-29",
            "2026-11-21",
            "2100-03-01",
            "9999-12-31",
        ] {
            assert_eq!(
                text.parse::<Date>().map(|date| date.to_string()),
                Ok(text.to_owned())
            );
        }
        for wrong in [
            "2100-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-1",
            "2026-01-00",
            "soon",
            "+026-01-01",
            "",
        ] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_599);
        let today = Date::from(time);
        assert_eq!(today.to_string(), "2026-11-21");
        let tomorrow = Date::from(time + Duration::from_secs(1));
        assert_eq!(
            (today.days_until(tomorrow), tomorrow.days_until(today)),
            (1, -1)
        );
    }
}
