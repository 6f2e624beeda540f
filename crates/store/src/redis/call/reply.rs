//! What `batch.lua` says to a batch.

use std::time::Duration;

use backstop_budget::{Amounts, Currency, Mode, Refused, Reservation};
use redis::Value;

use super::Row;

/// What the script says to a batch.
#[derive(Debug)]
pub(crate) enum Reply {
    Done(Done),
    /// Nothing was done: this is not the data that was known.
    Lost,
    /// Nothing was done: others have not restored yet what they know.
    Frozen(Duration),
    /// Nothing was done: it came too late.
    Stale,
    /// Nothing was done: a newer version's data.
    Newer(String),
}

#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) incarnation: String,
    /// For how long nothing is admitted.
    pub(crate) frozen: Duration,
    /// How many reservations of a dead process were settled.
    pub(crate) recovered: usize,
    /// What Redis does when it is full, where that was asked for.
    pub(crate) policy: String,
    /// One for each step.
    pub(crate) answers: std::vec::IntoIter<Value>,
    pub(crate) rows: Vec<Row>,
}

/// It is not what the script says.
#[derive(Debug)]
pub(crate) struct Unreadable;

type Read<T> = Result<T, Unreadable>;

impl Reply {
    pub(crate) fn read(value: Value) -> Read<Self> {
        let mut values = array(value)?.into_iter();
        let mut next = move || values.next().ok_or(Unreadable);
        Ok(match &*text(next()?)? {
            "lost" => Self::Lost,
            "stale" => Self::Stale,
            "frozen" => Self::Frozen(Duration::from_millis(number(next()?)?)),
            "newer" => Self::Newer(text(next()?)?),
            "done" => Self::Done(Done {
                incarnation: text(next()?)?,
                frozen: Duration::from_millis(number(next()?)?),
                recovered: number(next()?)?,
                policy: text(next()?)?,
                answers: array(next()?)?.into_iter(),
                rows: rows(next()?)?,
            }),
            _ => return Err(Unreadable),
        })
    }
}

fn rows(value: Value) -> Read<Vec<Row>> {
    let mut values = array(value)?.into_iter();
    let mut rows = Vec::with_capacity(values.len() / 5);
    while let Some(account) = values.next() {
        let mut next = || values.next().ok_or(Unreadable).and_then(text);
        let bucket = parsed(&next()?)?;
        let until = next()?;
        rows.push(Row {
            account: text(account)?.into(),
            bucket,
            until: if until.is_empty() {
                None
            } else {
                Some(parsed(&until)?)
            },
            spent: parsed(&next()?)?,
            overrun: parsed(&next()?)?,
        });
    }
    Ok(rows)
}

/// The least headroom that is left of each currency in which there is a hard leg.
pub(crate) type Rest = [Option<u64>; 3];

/// What becomes of a reservation.
#[derive(Debug)]
pub(crate) enum Decision {
    Held {
        granted: Amounts,
        exceeded: Vec<usize>,
        rest: Rest,
    },
    Refused(Refused),
}

impl Decision {
    pub(crate) fn read(value: Value, reservation: &Reservation) -> Read<Self> {
        let mut values = array(value)?.into_iter();
        let mut next = move || values.next().ok_or(Unreadable).and_then(text);
        if next()? == "refused" {
            let leg: usize = parsed(&next()?)?;
            let headroom = parsed(&next()?)?;
            let oldest = parsed(&next()?)?;
            let leg = reservation
                .legs()
                .get(leg.wrapping_sub(1))
                .ok_or(Unreadable)?;
            let until = leg.span().frees(oldest);
            let least = reservation.least();
            return Ok(Self::Refused(Refused::new(
                leg.clone(),
                least,
                headroom,
                until,
            )));
        }
        let mut granted = reservation.wanted();
        for currency in Currency::ALL {
            let amount = parsed(&next()?)?;
            // Where no hard leg limits it, it is granted as wanted, and booked as far as Redis counts.
            let is_limited = reservation.legs().iter().any(|leg| {
                leg.budget().mode() == Mode::Hard && leg.budget().currency() == currency
            });
            if is_limited {
                granted = granted.with(currency, amount);
            }
        }
        let exceeded = next()?;
        let exceeded = exceeded.split(' ').filter(|index| !index.is_empty());
        Ok(Self::Held {
            granted,
            exceeded: exceeded.map(parsed).collect::<Read<_>>()?,
            rest: rest(&mut next)?,
        })
    }
}

/// An answer to [`Steps::room`](super::Steps::room).
pub(crate) fn room(value: Value) -> Read<Rest> {
    let mut values = array(value)?.into_iter();
    rest(&mut || values.next().ok_or(Unreadable).and_then(text))
}

fn rest(next: &mut impl FnMut() -> Read<String>) -> Read<Rest> {
    let mut rest = [None; 3];
    for amount in &mut rest {
        let text = next()?;
        if !text.is_empty() {
            *amount = Some(parsed(&text)?);
        }
    }
    Ok(rest)
}

/// An account's id, spent, reserved and overrun.
pub(crate) type Standing = (String, [u64; 3]);

/// An answer to [`Steps::balances`](super::Steps::balances): where to go on, and a page of accounts.
pub(crate) fn balances(value: Value) -> Read<(String, Vec<Standing>)> {
    let mut values = array(value)?.into_iter();
    let mut next = || values.next().ok_or(Unreadable);
    let cursor = text(next()?)?;
    let mut accounts = array(next()?)?.into_iter();
    let mut page = Vec::with_capacity(accounts.len() / 4);
    while let Some(id) = accounts.next() {
        let mut next = || accounts.next().ok_or(Unreadable).and_then(number);
        page.push((text(id)?, [next()?, next()?, next()?]));
    }
    Ok((cursor, page))
}

fn array(value: Value) -> Read<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(Unreadable),
    }
}

fn text(value: Value) -> Read<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| Unreadable),
        _ => Err(Unreadable),
    }
}

fn number<T: std::str::FromStr>(value: Value) -> Read<T> {
    parsed(&text(value)?)
}

fn parsed<T: std::str::FromStr>(text: &str) -> Read<T> {
    text.parse().map_err(|_| Unreadable)
}
