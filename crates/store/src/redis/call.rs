//! What goes into `batch.lua` and what comes out of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop_budget::{
    Amounts, Budget, Currency, Leg, Mode, Refused, Reservation, ReservationId, Span,
};
use redis::Value;

use super::LARGEST;
use super::hold::Open;

const CURRENCIES: [Currency; 3] = [Currency::NanoUsd, Currency::Tokens, Currency::Requests];

/// Of each currency so much, no more than Redis counts.
pub(super) type Counts = [u64; 3];

pub(super) fn counts(amounts: Amounts) -> Counts {
    CURRENCIES.map(|currency| amounts.of(currency).min(LARGEST))
}

pub(super) fn amounts(counts: Counts) -> Amounts {
    Amounts::new(counts[0], counts[1], counts[2])
}

pub(super) fn place(currency: Currency) -> usize {
    match currency {
        Currency::NanoUsd => 0,
        Currency::Tokens => 1,
        Currency::Requests => 2,
    }
}

/// An account, so that no two read the same: names and ids may hold anything.
pub(super) fn account(leg: &Leg) -> String {
    let (name, id) = leg.account();
    format!("{}:{name}:{id}", name.len())
}

fn until(span: Span) -> Option<i64> {
    span.frees(span.bucket()).map(seconds)
}

pub(super) fn seconds(moment: SystemTime) -> i64 {
    let since = moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The arguments of one batch.
#[derive(Debug, Default)]
pub(super) struct Steps {
    args: Vec<String>,
}

impl Steps {
    pub(super) fn into_args(self) -> Vec<String> {
        self.args
    }

    fn push(&mut self, arg: impl fmt::Display) {
        self.args.push(format!("{arg}"));
    }

    fn push_all(&mut self, args: impl IntoIterator<Item = impl fmt::Display>) {
        for arg in args {
            self.push(arg);
        }
    }

    /// `times` is how much headroom an allotment leaves; 0 for what somebody waits for.
    pub(super) fn reserve(
        &mut self,
        reservation: &Reservation,
        old: Option<ReservationId>,
        times: u64,
    ) {
        self.push("reserve");
        self.push(reservation.id());
        self.push(old.map(|id| id.to_string()).unwrap_or_default());
        self.push(u8::from(
            reservation.when_lost() == backstop_budget::IfLost::Charge,
        ));
        self.push(times);
        self.push_all(counts(reservation.wanted()));
        self.push_all(counts(reservation.least()));
        self.push(reservation.legs().len());
        for leg in reservation.legs() {
            let span = leg.span();
            self.leg(leg);
            self.push(span.since());
            self.push(match until(span) {
                Some(until) => (until - span.bucket()).to_string(),
                None => String::new(),
            });
            self.push(u8::from(leg.budget().mode() == Mode::Hard));
            self.push(limit(leg.budget()));
        }
    }

    fn leg(&mut self, leg: &Leg) {
        self.push(account(leg));
        self.push(leg.span().bucket());
        self.push(
            until(leg.span())
                .map(|until| until.to_string())
                .unwrap_or_default(),
        );
        self.push(place(leg.budget().currency()) + 1);
    }

    fn record(&mut self, open: &Open) {
        self.push(u8::from(open.charge));
        self.push_all(counts(open.granted));
        self.push("");
        self.push(open.legs.len());
        for leg in &open.legs {
            self.leg(leg);
        }
    }

    pub(super) fn settle(&mut self, id: ReservationId, spent: Counts, over: Counts) {
        self.push("settle");
        self.push(id);
        self.push_all(spent);
        self.push_all(over);
    }

    pub(super) fn undo(&mut self, id: ReservationId, old: Option<&Open>) {
        self.push("undo");
        self.push(id);
        match old {
            None => self.push(""),
            Some(old) => {
                self.push(old.id);
                self.record(old);
            }
        }
    }

    pub(super) fn room(&mut self, open: &Open) {
        let hard = || {
            open.legs
                .iter()
                .filter(|leg| leg.budget().mode() == Mode::Hard)
        };
        self.push("room");
        self.push(hard().count());
        for leg in hard() {
            self.push(account(leg));
            self.push(place(leg.budget().currency()) + 1);
            self.push(leg.span().since());
            self.push(limit(leg.budget()));
        }
    }

    /// Of its one member, or a page of all, from a cursor.
    pub(super) fn balances(&mut self, budget: &Budget, span: Span, cursor: &str) {
        self.push(if budget.id().is_some() {
            "balance"
        } else {
            "balances"
        });
        self.push(budget.name());
        self.push(span.since());
        self.push(budget.id().map_or(cursor, |id| id));
    }

    pub(super) fn known(&mut self, row: &Row) {
        self.push("known");
        self.push(&row.account);
        self.push(row.bucket);
        self.push(row.until.map(|until| until.to_string()).unwrap_or_default());
        self.push(row.spent);
        self.push(row.overrun);
    }

    pub(super) fn open(&mut self, open: &Open) {
        self.push("open");
        self.push(open.id);
        self.record(open);
    }

    pub(super) fn only<'a>(&mut self, ids: impl ExactSizeIterator<Item = &'a ReservationId>) {
        self.push("only");
        self.push(ids.len());
        self.push_all(ids);
    }

    pub(super) fn leave(&mut self) {
        self.push("leave");
    }
}

/// Redis counts no further.
fn limit(budget: &Budget) -> u64 {
    budget.limit().min(LARGEST)
}

/// What an account has spent in one bucket, as Redis said last.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) account: Arc<str>,
    pub(super) bucket: i64,
    /// Until when it counts; `None` for ever.
    pub(super) until: Option<i64>,
    pub(super) spent: u64,
    pub(super) overrun: u64,
}

/// What the script says to a batch.
#[derive(Debug)]
pub(super) enum Reply {
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
pub(super) struct Done {
    pub(super) incarnation: String,
    /// For how long nothing is admitted.
    pub(super) frozen: Duration,
    /// How many reservations of a dead process were settled.
    pub(super) recovered: usize,
    /// What Redis does when it is full, where that was asked for.
    pub(super) policy: String,
    /// One for each step.
    pub(super) answers: std::vec::IntoIter<Value>,
    pub(super) rows: Vec<Row>,
}

/// It is not what the script says.
#[derive(Debug)]
pub(super) struct Unreadable;

type Read<T> = Result<T, Unreadable>;

impl Reply {
    pub(super) fn read(value: Value) -> Read<Self> {
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
pub(super) type Rest = [Option<u64>; 3];

/// What becomes of a reservation.
#[derive(Debug)]
pub(super) enum Decision {
    Held {
        granted: Amounts,
        exceeded: Vec<usize>,
        rest: Rest,
    },
    Refused(Refused),
}

impl Decision {
    pub(super) fn read(value: Value, reservation: &Reservation) -> Read<Self> {
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
        for currency in CURRENCIES {
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

/// An answer to [`Steps::room`].
pub(super) fn room(value: Value) -> Read<Rest> {
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
pub(super) type Standing = (String, [u64; 3]);

/// An answer to [`Steps::balances`]: where to go on, and a page of accounts.
pub(super) fn balances(value: Value) -> Read<(String, Vec<Standing>)> {
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
