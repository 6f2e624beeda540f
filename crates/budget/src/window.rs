use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

/// Into how many parts a rolling window is divided.
const PARTS: i64 = 24;

/// For how long a budget's limit holds before it begins anew.
///
/// Which window a moment falls into follows from the moment alone: nothing has to run for a window to begin, and
/// all processes that share a ledger agree.
///
/// ```
/// use backstop_budget::Window;
/// use std::time::{Duration, SystemTime};
///
/// let day = Window::day("Europe/Berlin")?;
/// // Noon UTC on the day on which clocks go back: it has 25 hours.
/// let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_792_929_600);
/// let span = day.at(noon);
/// assert_eq!(span.until() - span.bucket(), 25 * 60 * 60);
/// # Ok::<_, backstop_budget::UnknownZone>(())
/// ```
pub struct Window {
    kind: Kind,
    /// The calendar window of the last moment that was asked for: its start and its end, in minutes since 1970, in
    /// one word. Zero before there is one.
    last: AtomicU64,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Calendar(Unit, TimeZone),
    /// One part of it, in seconds, and how many whole ones count.
    Rolling {
        duration: Duration,
        part: i64,
        parts: i64,
    },
    Total,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
}

impl Window {
    /// From midnight to midnight in this time zone, such as `Europe/Berlin` or `UTC`.
    ///
    /// # Errors
    ///
    /// [`UnknownZone`] if the time zone database, which is compiled in, has no such zone.
    pub fn day(zone: &str) -> Result<Self, UnknownZone> {
        Self::calendar(Unit::Day, zone)
    }

    /// From Monday to Monday.
    ///
    /// # Errors
    ///
    /// [`UnknownZone`], as for [`day`](Self::day).
    pub fn week(zone: &str) -> Result<Self, UnknownZone> {
        Self::calendar(Unit::Week, zone)
    }

    /// From the first of a month to the first of the next.
    ///
    /// # Errors
    ///
    /// [`UnknownZone`], as for [`day`](Self::day).
    pub fn month(zone: &str) -> Result<Self, UnknownZone> {
        Self::calendar(Unit::Month, zone)
    }

    /// The last `duration` before each moment, counted conservatively: in 24 parts and the one that is under way,
    /// so that what was spent counts for `duration` at least, and for a twenty-fourth longer at most.
    ///
    /// A part is a whole number of seconds, and at least one.
    #[must_use]
    pub fn rolling(duration: Duration) -> Self {
        let begun = u64::from(duration.subsec_nanos() > 0);
        let seconds = i64::try_from(duration.as_secs().saturating_add(begun))
            .unwrap_or(i64::MAX)
            .clamp(1, i64::from(u32::MAX));
        let part = (seconds + PARTS - 1) / PARTS;
        let parts = (seconds + part - 1) / part;
        Self::of(Kind::Rolling {
            duration,
            part,
            parts,
        })
    }

    /// For ever.
    #[must_use]
    pub const fn total() -> Self {
        Self::of(Kind::Total)
    }

    fn calendar(unit: Unit, zone: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZoneDatabase::bundled()
            .get(zone)
            .map_err(|_| UnknownZone(zone.into()))?;
        Ok(Self::of(Kind::Calendar(unit, zone)))
    }

    const fn of(kind: Kind) -> Self {
        Self {
            kind,
            last: AtomicU64::new(0),
        }
    }

    /// The window that `moment` falls into.
    #[must_use]
    pub fn at(&self, moment: SystemTime) -> Span {
        let now = seconds(moment);
        match &self.kind {
            Kind::Total => Span::ENDLESS,
            Kind::Rolling { part, parts, .. } => {
                let bucket = now - now.rem_euclid(*part);
                Span {
                    bucket,
                    since: bucket - part * parts,
                    until: bucket + part,
                }
            }
            Kind::Calendar(unit, zone) => {
                let last = unpack(self.last.load(Ordering::Relaxed));
                if last.bucket <= now && now < last.until {
                    return last;
                }
                // Outside of the years that a calendar can write, one window has no end.
                let span = calendar_span(*unit, zone, now).unwrap_or(Span::ENDLESS);
                if let Some(word) = pack(span) {
                    self.last.store(word, Ordering::Relaxed);
                }
                span
            }
        }
    }
}

fn calendar_span(unit: Unit, zone: &TimeZone, now: i64) -> Option<Span> {
    let today = Timestamp::from_second(now)
        .ok()?
        .to_zoned(zone.clone())
        .date();
    let (first, next) = match unit {
        Unit::Day => (today, today.tomorrow().ok()?),
        Unit::Week => {
            let since_monday = today.weekday().to_monday_zero_offset();
            let monday = today.checked_sub(i64::from(since_monday).days()).ok()?;
            (monday, monday.checked_add(7.days()).ok()?)
        }
        Unit::Month => {
            let first = today.first_of_month();
            (first, first.checked_add(1.month()).ok()?)
        }
    };
    let bucket = first_second(first, zone)?;
    Some(Span {
        bucket,
        since: bucket,
        until: first_second(next, zone)?,
    })
}

/// The first second of a day, which is not midnight where clocks are put forward at midnight.
fn first_second(date: Date, zone: &TimeZone) -> Option<i64> {
    let first = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0));
    Some(first.compatible().ok()?.as_second())
}

/// `None` for a span that does not begin and end with a minute since 1970.
fn pack(span: Span) -> Option<u64> {
    let minutes = |second: i64| {
        (second % 60 == 0)
            .then(|| u32::try_from(second / 60).ok())
            .flatten()
    };
    Some(u64::from(minutes(span.bucket)?) << 32 | u64::from(minutes(span.until)?))
}

fn unpack(word: u64) -> Span {
    let bucket = (word >> 32) as i64 * 60;
    Span {
        bucket,
        since: bucket,
        until: i64::from(word as u32) * 60,
    }
}

/// Whole seconds since 1970.
pub(crate) fn seconds(moment: SystemTime) -> i64 {
    match moment.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s - 1),
    }
}

impl Clone for Window {
    fn clone(&self) -> Self {
        Self::of(self.kind.clone())
    }
}

impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// As in `month@Europe/Berlin`, `86400s`, `total`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Total => f.write_str("total"),
            Kind::Rolling { duration, .. } => write!(f, "{}s", duration.as_secs_f64()),
            Kind::Calendar(unit, zone) => {
                let unit = match unit {
                    Unit::Day => "day",
                    Unit::Week => "week",
                    Unit::Month => "month",
                };
                write!(f, "{unit}@{}", zone.iana_name().unwrap_or("UTC"))
            }
        }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Window({self})")
    }
}

/// The window that one moment falls into, in whole seconds since 1970.
///
/// What is spent is booked under [`bucket`](Self::bucket); what counts against the limit is everything that is booked
/// under [`since`](Self::since) or later. In a calendar window the two are the same; a rolling one looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    bucket: i64,
    since: i64,
    until: i64,
}

impl Span {
    /// The window that is all of time.
    pub(crate) const ENDLESS: Self = Self {
        bucket: 0,
        since: 0,
        until: i64::MAX,
    };

    /// Under which a reservation made now is booked, and settled later: the second in which it begins.
    #[must_use]
    pub const fn bucket(&self) -> i64 {
        self.bucket
    }

    /// The first bucket that counts.
    #[must_use]
    pub const fn since(&self) -> i64 {
        self.since
    }

    /// When the bucket ends; [`i64::MAX`] if never.
    #[must_use]
    pub const fn until(&self) -> i64 {
        self.until
    }

    /// When `bucket`, which counts now, counts no longer; `None` if it always will.
    ///
    /// For a ledger that refuses: with the oldest bucket in which anything is booked, this is the first moment at
    /// which asking again can help.
    #[must_use]
    pub fn frees(&self, bucket: i64) -> Option<SystemTime> {
        let at = self.counts_until(bucket);
        if at == i64::MAX {
            return None;
        }
        let since_1970 = Duration::from_secs(u64::try_from(at).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since_1970)
    }

    /// The same in seconds; [`i64::MAX`] for ever.
    pub(crate) const fn counts_until(&self, bucket: i64) -> i64 {
        if self.until == i64::MAX {
            return i64::MAX;
        }
        bucket.saturating_add(self.until - self.since)
    }
}

/// The time zone database has no such zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownZone(Box<str>);

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no time zone called `{}`", self.0)
    }
}

impl Error for UnknownZone {}

#[cfg(test)]
mod tests;
