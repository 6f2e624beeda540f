use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use backstop_budget::{Balance, Budget, Span, Unavailable};
use redis::Value;
use tokio::sync::oneshot;

use crate::redis::call::{self, Standing, Steps, Unreadable};

/// Somebody wants to know how accounts stand. Where there are many, it takes several batches.
pub(in crate::redis) struct Question {
    accounts: Vec<Accounts>,
    reply: oneshot::Sender<Result<Vec<Balance>, Unavailable>>,
}

/// Of one budget.
struct Accounts {
    budget: Arc<Budget>,
    span: Span,
    /// Where to go on; `None` if all are there.
    cursor: Option<String>,
    /// A page may bring one again.
    found: BTreeMap<String, [u64; 3]>,
}

impl Question {
    pub(in crate::redis) fn new(
        budgets: Vec<Arc<Budget>>,
        now: SystemTime,
        reply: oneshot::Sender<Result<Vec<Balance>, Unavailable>>,
    ) -> Self {
        let accounts = budgets.into_iter().map(|budget| Accounts {
            span: budget.window().at(now),
            budget,
            cursor: Some("0".to_owned()),
            found: BTreeMap::new(),
        });
        Self {
            accounts: accounts.collect(),
            reply,
        }
    }

    pub(super) fn ask(&self, steps: &mut Steps) {
        for accounts in &self.accounts {
            if let Some(cursor) = &accounts.cursor {
                steps.balances(&accounts.budget, accounts.span, cursor);
            }
        }
    }

    /// Whether that was all.
    pub(super) fn hear(
        &mut self,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Result<bool, Unreadable> {
        let mut is_all = true;
        for accounts in &mut self.accounts {
            if accounts.cursor.is_some() {
                let (cursor, page) = call::balances(answers.next().ok_or(Unreadable)?)?;
                accounts.found.extend(page);
                accounts.cursor = (cursor != "0").then_some(cursor);
                is_all &= accounts.cursor.is_none();
            }
        }
        Ok(is_all)
    }

    pub(super) fn answer(self) {
        let accounts = self.accounts.into_iter();
        let balances = accounts.flat_map(Accounts::into_balances).collect();
        let _ = self.reply.send(Ok(balances));
    }

    pub(super) fn refuse(self, unavailable: Unavailable) {
        let _ = self.reply.send(Err(unavailable));
    }
}

impl Accounts {
    fn into_balances(mut self) -> Vec<Balance> {
        if let (Some(id), true) = (self.budget.id(), self.found.is_empty()) {
            self.found.insert(id.to_string(), [0; 3]);
        }
        let found = self.found.into_iter();
        let balance = |(id, [spent, reserved, overrun]): Standing| Balance {
            budget: Arc::clone(&self.budget),
            id: id.into(),
            span: self.span,
            spent,
            reserved,
            overrun,
        };
        found.map(balance).collect()
    }
}
