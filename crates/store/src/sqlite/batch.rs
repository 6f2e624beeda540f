//! Steps that are committed together: accounts are read once, changed here, and written back once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use backstop_budget::{
    Amounts, Balance, Booked, Budget, Currency, Granted, IfLost, Leg, Refused, Reservation,
};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::hold::Open;
use crate::shared::seconds;

/// A budget's name, and whose account it is.
type Key = (Arc<str>, Arc<str>);

/// A transaction, and the accounts in it.
pub(super) struct Batch<'db> {
    transaction: Transaction<'db>,
    accounts: HashMap<Key, Account>,
}

/// The rows of an account from some bucket on.
struct Account {
    since: i64,
    rows: BTreeMap<i64, Row>,
}

#[derive(Clone, Copy, Default)]
struct Row {
    until: Option<i64>,
    spent: u64,
    reserved: u64,
    overrun: u64,
    changed: bool,
}

impl Row {
    const fn booked(&self) -> u64 {
        self.spent.saturating_add(self.reserved)
    }

    const fn hold(&mut self, amount: u64) {
        self.reserved = self.reserved.saturating_add(amount);
        self.changed = true;
    }

    const fn give_back(&mut self, held: u64, spent: u64) {
        self.reserved = self.reserved.saturating_sub(held);
        self.spent = self.spent.saturating_add(spent);
        self.overrun = self.overrun.saturating_add(spent.saturating_sub(held));
        self.changed = true;
    }
}

impl<'db> Batch<'db> {
    pub(super) fn begin(db: &'db mut Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            transaction: db.transaction_with_behavior(TransactionBehavior::Immediate)?,
            accounts: HashMap::new(),
        })
    }

    /// Holds what there is room for, in place of what `instead_of` holds.
    pub(super) fn reserve(
        &mut self,
        reservation: &Reservation,
        instead_of: Option<&Open>,
    ) -> rusqlite::Result<Result<Granted, Refused>> {
        if let Some(old) = instead_of {
            self.give_back(old, Amounts::ZERO)?;
        }
        let decision = reservation.decide(|leg| {
            let since = leg.span().since();
            let rows = self.account(key(leg), since)?.rows.range(since..);
            Ok::<_, rusqlite::Error>(Booked::sum(
                rows.map(|(bucket, row)| (*bucket, row.booked())),
            ))
        })?;
        let (granted, exceeded) = match decision {
            Ok(granted) => granted,
            Err(refused) => {
                if let Some(old) = instead_of {
                    self.hold(&old.legs, old.granted)?;
                }
                return Ok(Err(refused));
            }
        };
        self.hold(reservation.legs(), granted)?;
        if let Some(old) = instead_of {
            self.close(old)?;
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO reservation (id, nano_usd, tokens, requests, charge, legs) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                reservation.id().to_string(),
                integer(granted.of(Currency::NanoUsd)),
                integer(granted.of(Currency::Tokens)),
                integer(granted.of(Currency::Requests)),
                reservation.when_lost() == IfLost::Charge,
                written(reservation.legs()),
            ])?;
        Ok(Ok((granted, exceeded)))
    }

    /// Ends a reservation: so much of what it holds, or more, was spent.
    pub(super) fn settle(&mut self, open: &Open, spent: Amounts) -> rusqlite::Result<()> {
        if self.close(open)? {
            self.give_back(open, spent)?;
        }
        Ok(())
    }

    /// Ends all that is reserved, each as it says. How many there were.
    pub(super) fn settle_lost(&mut self) -> rusqlite::Result<usize> {
        let lost: Vec<(Amounts, bool, String)> = self
            .transaction
            .prepare("SELECT nano_usd, tokens, requests, charge, legs FROM reservation")?
            .query_map((), |row| {
                let amounts = Amounts::new(amount(row, 0)?, amount(row, 1)?, amount(row, 2)?);
                Ok((amounts, row.get(3)?, row.get(4)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (held, charge, legs) in &lost {
            let spent = if *charge { *held } else { Amounts::ZERO };
            for (name, id, bucket, currency) in read(legs)? {
                let row = self.row((name.into(), id.into()), bucket, bucket)?;
                row.give_back(held.of(currency), spent.of(currency));
            }
        }
        self.transaction.execute("DELETE FROM reservation", ())?;
        Ok(lost.len())
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        {
            let mut write = self.transaction.prepare_cached(
                "INSERT INTO account (budget, id, bucket, until, spent, reserved, overrun)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET spent = ?5, reserved = ?6, overrun = ?7",
            )?;
            for ((name, id), account) in &self.accounts {
                for (bucket, row) in account.rows.iter().filter(|(_, row)| row.changed) {
                    write.execute(params![
                        name,
                        id,
                        bucket,
                        row.until,
                        integer(row.spent),
                        integer(row.reserved),
                        integer(row.overrun),
                    ])?;
                }
            }
        }
        self.transaction.commit()
    }

    fn hold(&mut self, legs: &[Leg], amounts: Amounts) -> rusqlite::Result<()> {
        for leg in legs {
            let amount = amounts.of(leg.budget().currency());
            self.row_of(leg)?.hold(amount);
        }
        Ok(())
    }

    fn give_back(&mut self, open: &Open, spent: Amounts) -> rusqlite::Result<()> {
        for leg in &open.legs {
            let currency = leg.budget().currency();
            self.row_of(leg)?
                .give_back(open.granted.of(currency), spent.of(currency));
        }
        Ok(())
    }

    /// Whether it was open.
    fn close(&self, open: &Open) -> rusqlite::Result<bool> {
        let closed = self
            .transaction
            .prepare_cached("DELETE FROM reservation WHERE id = ?1")?
            .execute([open.id.to_string()])?;
        Ok(closed == 1)
    }

    fn row_of(&mut self, leg: &Leg) -> rusqlite::Result<&mut Row> {
        let span = leg.span();
        let until = span.frees(span.bucket()).map(seconds);
        let row = self.row(key(leg), span.bucket(), span.since())?;
        row.until = until;
        Ok(row)
    }

    fn row(&mut self, key: Key, bucket: i64, since: i64) -> rusqlite::Result<&mut Row> {
        Ok(self.account(key, since)?.rows.entry(bucket).or_default())
    }

    /// The account, with all its rows from `since` on.
    fn account(&mut self, key: Key, since: i64) -> rusqlite::Result<&mut Account> {
        let account = self.accounts.entry(key);
        let key = account.key().clone();
        let account = account.or_insert(Account {
            since: i64::MAX,
            rows: BTreeMap::new(),
        });
        if account.since > since {
            let mut read = self.transaction.prepare_cached(
                "SELECT bucket, until, spent, reserved, overrun FROM account
                 WHERE budget = ?1 AND id = ?2 AND bucket >= ?3 AND bucket < ?4",
            )?;
            let mut rows = read.query(params![key.0, key.1, since, account.since])?;
            while let Some(row) = rows.next()? {
                let read = Row {
                    until: row.get(1)?,
                    spent: amount(row, 2)?,
                    reserved: amount(row, 3)?,
                    overrun: amount(row, 4)?,
                    changed: false,
                };
                account.rows.insert(row.get(0)?, read);
            }
            account.since = since;
        }
        Ok(account)
    }
}

/// How the accounts of `budgets` stand.
pub(super) fn balances(
    db: &Connection,
    budgets: &[Arc<Budget>],
    now: SystemTime,
) -> rusqlite::Result<Vec<Balance>> {
    let mut read = db.prepare_cached(
        "SELECT id, spent, reserved, overrun FROM account
         WHERE budget = ?1 AND bucket >= ?2 AND (?3 IS NULL OR id = ?3) ORDER BY id",
    )?;
    let mut balances: Vec<Balance> = Vec::new();
    for budget in budgets {
        let span = budget.window().at(now);
        let none = |id: Arc<str>| Balance {
            budget: Arc::clone(budget),
            id,
            span,
            spent: 0,
            reserved: 0,
            overrun: 0,
        };
        let first = balances.len();
        let mut rows = read.query(params![budget.account(), span.since(), budget.id()])?;
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            if balances[first..].last().is_none_or(|last| *last.id != *id) {
                balances.push(none(id.into()));
            }
            let balance = balances.last_mut().expect("there is one by now");
            balance.spent = balance.spent.saturating_add(amount(row, 1)?);
            balance.reserved = balance.reserved.saturating_add(amount(row, 2)?);
            balance.overrun = balance.overrun.saturating_add(amount(row, 3)?);
        }
        if let (Some(id), true) = (budget.id(), balances.len() == first) {
            balances.push(none(Arc::clone(id)));
        }
    }
    Ok(balances)
}

fn key(leg: &Leg) -> Key {
    (Arc::clone(leg.budget().account()), Arc::clone(leg.id()))
}

/// Sums stop where the database's integers do, long before anybody has spent so much.
fn integer(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn amount(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn written(legs: &[Leg]) -> String {
    let legs: Vec<_> = legs
        .iter()
        .map(|leg| {
            let (name, id) = leg.account();
            let currency = leg.budget().currency().as_str();
            (name, id, leg.span().bucket(), currency)
        })
        .collect();
    serde_json::to_string(&legs).expect("strings and numbers are JSON")
}

type Written = (String, String, i64, Currency);

fn read(legs: &str) -> rusqlite::Result<Vec<Written>> {
    let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, error)
    };
    let legs: Vec<(String, String, i64, String)> =
        serde_json::from_str(legs).map_err(|error| unreadable(error.into()))?;
    legs.into_iter()
        .map(|(name, id, bucket, currency)| {
            let currency = Currency::ALL
                .into_iter()
                .find(|known| known.as_str() == currency)
                .ok_or_else(|| unreadable(format!("`{currency}` is no currency").into()))?;
            Ok((name, id, bucket, currency))
        })
        .collect()
}
