use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use backstop_budget::Leg;

use super::call::{Counts, Row, account, place};
use crate::shared::seconds;

/// From how many rows on it is looked for those that count no more.
const FIRST_SWEEP: usize = 1024;

/// What Redis has said last of each row that counts: what there is to restore it from, should it forget.
#[derive(Debug)]
pub(super) struct Known {
    rows: HashMap<(Arc<str>, i64), Row>,
    sweep_at: usize,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            rows: HashMap::new(),
            sweep_at: FIRST_SWEEP,
        }
    }

    /// Whether nothing of it had been forgotten. What had is not learned.
    pub(super) fn learn(&mut self, rows: Vec<Row>, now: SystemTime) -> bool {
        let mut whole = true;
        for row in rows {
            let key = (Arc::clone(&row.account), row.bucket);
            let known = self.rows.entry(key).or_insert_with(|| row.clone());
            if row.spent < known.spent || row.overrun < known.overrun {
                whole = false;
            } else {
                *known = row;
            }
        }
        if self.rows.len() >= self.sweep_at {
            let now = seconds(now);
            self.rows
                .retain(|_, row| row.until.is_none_or(|until| until > now));
            self.sweep_at = FIRST_SWEEP.max(self.rows.len() * 2);
        }
        whole
    }

    /// So much more was spent on each of these legs.
    pub(super) fn add(&mut self, legs: &[Leg], spent: Counts, over: Counts) {
        for leg in legs {
            let place = place(leg.budget().currency());
            let key = (account(leg).into(), leg.span().bucket());
            if let Some(row) = self.rows.get_mut(&key) {
                row.spent = row.spent.saturating_add(spent[place]);
                row.overrun = row.overrun.saturating_add(over[place]);
            }
        }
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.rows.values().cloned().collect()
    }
}
