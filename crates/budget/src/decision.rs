use crate::{Amounts, Leg, Mode, Refused, Reservation};

/// What is booked to a leg's account, in the rows that count: what a ledger looks up to [decide](Reservation::decide).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    amount: u64,
    oldest: Option<i64>,
}

impl Booked {
    /// Of rows in the order of their buckets: the bucket, and what is spent and reserved in it.
    pub fn sum(rows: impl IntoIterator<Item = (i64, u64)>) -> Self {
        let none = Self {
            amount: 0,
            oldest: None,
        };
        rows.into_iter()
            .filter(|(_, amount)| *amount > 0)
            .fold(none, |sum, (bucket, amount)| Self {
                amount: sum.amount.saturating_add(amount),
                oldest: sum.oldest.or(Some(bucket)),
            })
    }

    fn headroom(&self, leg: &Leg) -> u64 {
        leg.budget().limit().saturating_sub(self.amount)
    }
}

/// What a ledger is to book: how much on each leg, and which soft and shadow legs have no room for it.
pub type Granted = (Amounts, Vec<usize>);

impl Reservation {
    /// For a ledger: how much of this there is room for, by the rules of [`Ledger`](crate::Ledger), if `booked` is
    /// what is booked to each leg's account.
    ///
    /// # Errors
    ///
    /// Those of `booked`.
    pub fn decide<E>(
        &self,
        mut booked: impl FnMut(&Leg) -> Result<Booked, E>,
    ) -> Result<Result<Granted, Refused>, E> {
        let least = self.least();
        let mut granted = self.wanted();
        let mut refused: Option<Refused> = None;
        for leg in self.legs() {
            if leg.budget().mode() != Mode::Hard {
                continue;
            }
            let account = booked(leg)?;
            let headroom = account.headroom(leg);
            let currency = leg.budget().currency();
            granted = granted.with(currency, granted.of(currency).min(headroom));
            if headroom < least.of(currency) {
                let oldest = account.oldest.unwrap_or(leg.span().bucket());
                let until = leg.span().frees(oldest);
                let longer = |other: &Refused| {
                    until.is_none() || other.until().is_some_and(|other| Some(other) < until)
                };
                if refused.as_ref().is_none_or(longer) {
                    refused = Some(Refused::new(leg.clone(), least, headroom, until));
                }
            }
        }
        if let Some(refused) = refused {
            return Ok(Err(refused));
        }
        let mut exceeded = Vec::new();
        for (index, leg) in self.legs().iter().enumerate() {
            if leg.budget().mode() != Mode::Hard
                && booked(leg)?.headroom(leg) < granted.of(leg.budget().currency())
            {
                exceeded.push(index);
            }
        }
        Ok(Ok((granted, exceeded)))
    }
}
