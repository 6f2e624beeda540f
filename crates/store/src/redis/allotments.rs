use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop_budget::{Amounts, Currency, Leg, Mode, Reservation, ReservationId};
use tokio::time::Instant;

use super::call::{Counts, Rest, account, amounts, counts, place};
use super::hold::{Open, Part};
use crate::shared::seconds;

/// For so many sets of legs at the most.
const MOST: usize = 256;
/// How many are drawn with one batch.
const AT_ONCE: usize = 8;
/// An allotment is at most a twentieth of any headroom.
const SHARE: u64 = 20;
/// For how long one is kept that nobody would have used.
const IDLE: Duration = Duration::from_secs(60);

/// What is drawn ahead, to go on with while Redis cannot be reached.
///
/// Each is a reservation as any other. Calls are granted parts of it, here alone; when all of them have ended, it is
/// settled with what they have spent together.
#[derive(Debug)]
pub(super) struct Allotments {
    /// How many requests' worth of each.
    requests: u64,
    drawn: HashMap<ReservationId, Allotment>,
    by_legs: HashMap<Box<str>, ReservationId>,
    wanted: HashMap<Box<str>, Reservation>,
    /// Whether parts of any were granted.
    is_begun: bool,
    /// Those that are to be settled, with what was spent.
    pub(super) ended: Vec<Ended>,
}

#[derive(Debug)]
pub(super) struct Ended {
    pub(super) open: Arc<Open>,
    pub(super) spent: Counts,
    pub(super) over: Counts,
}

#[derive(Debug)]
struct Allotment {
    open: Arc<Open>,
    left: Counts,
    spent: Counts,
    over: Counts,
    /// How many parts are out.
    parts: usize,
    /// Whether any was.
    is_begun: bool,
    /// Nothing more is granted of it.
    is_over: bool,
    used: Instant,
    /// Whether its headroom was seen lately.
    is_checked: bool,
}

impl Allotments {
    pub(super) fn new(requests: u32) -> Self {
        Self {
            requests: requests.into(),
            drawn: HashMap::new(),
            by_legs: HashMap::new(),
            wanted: HashMap::new(),
            is_begun: false,
            ended: Vec::new(),
        }
    }

    pub(super) fn wants_any(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Such a reservation was granted so much, and that is left.
    pub(super) fn granted(&mut self, legs: &[Leg], granted: Amounts, rest: Rest, now: Instant) {
        if self.requests == 0 || rest == [None; 3] {
            return;
        }
        let key = key(legs);
        if let Some(id) = self.by_legs.get(&key).copied() {
            let allotment = self.drawn.get_mut(&id).expect("it is drawn");
            allotment.used = now;
            allotment.is_checked = true;
            let is_small = legs.iter().any(|leg| {
                let currency = leg.budget().currency();
                allotment.open.granted.of(currency) < granted.of(currency)
            });
            if is_small || allotment.is_too_much(rest) {
                self.retire(id);
            }
            return;
        }
        let amount = counts(granted).map(|amount| amount.saturating_mul(self.requests));
        if is_too_much(amount, rest) {
            return;
        }
        if self.drawn.len() >= MOST {
            let oldest = self.by_legs.values().min_by_key(|id| self.drawn[id].used);
            if let Some(oldest) = oldest.copied() {
                self.retire(oldest);
            }
        }
        if self.wanted.len() < MOST {
            let draw = Reservation::new(legs.to_vec(), amounts(amount));
            self.wanted.insert(key, draw);
        }
    }

    /// What is to be drawn now, each only if there is [`SHARE`] times as much.
    pub(super) fn draws(&mut self) -> Vec<Reservation> {
        let keys: Vec<_> = self.wanted.keys().take(AT_ONCE).cloned().collect();
        keys.iter()
            .filter_map(|key| {
                let draw = self.wanted.remove(key)?;
                // Somebody may have been granted theirs in the batch that drew it.
                (!self.by_legs.contains_key(key)).then_some(draw)
            })
            .collect()
    }

    pub(super) const fn share() -> u64 {
        SHARE
    }

    pub(super) fn drew(&mut self, open: Arc<Open>, now: Instant) {
        self.by_legs.insert(key(&open.legs), open.id);
        self.drawn.insert(
            open.id,
            Allotment {
                left: counts(open.granted),
                open,
                spent: [0; 3],
                over: [0; 3],
                parts: 0,
                is_begun: false,
                is_over: false,
                used: now,
                is_checked: true,
            },
        );
    }

    /// A part of what was drawn for these legs.
    pub(super) fn part(&mut self, reservation: &Reservation) -> Option<Part> {
        let of = *self.by_legs.get(&key(reservation.legs()))?;
        let allotment = self.drawn.get_mut(&of)?;
        let (mut granted, least) = (reservation.wanted(), reservation.least());
        for currency in Currency::ALL
            .into_iter()
            .filter(|currency| allotment.counts(*currency))
        {
            let left = allotment.left[place(currency)];
            if left < least.of(currency) {
                return None;
            }
            granted = granted.with(currency, granted.of(currency).min(left));
        }
        for (left, granted) in allotment.left.iter_mut().zip(counts(granted)) {
            *left = left.saturating_sub(granted);
        }
        allotment.parts += 1;
        allotment.is_begun = true;
        self.is_begun = true;
        let id = reservation.id();
        Some(Part { id, of, granted })
    }

    pub(super) fn settle(&mut self, part: Part, spent: Amounts) {
        let Some(allotment) = self.drawn.get_mut(&part.of) else {
            return;
        };
        let (held, spent) = (counts(part.granted), counts(spent));
        for place in 0..3 {
            let (held, spent) = (held[place], spent[place]);
            allotment.left[place] =
                allotment.left[place].saturating_add(held.saturating_sub(spent));
            allotment.spent[place] = allotment.spent[place].saturating_add(spent);
            allotment.over[place] =
                allotment.over[place].saturating_add(spent.saturating_sub(held));
        }
        allotment.parts -= 1;
        if allotment.is_over && allotment.parts == 0 {
            self.end(part.of);
        }
    }

    /// No more is granted of it, and it is given back once all parts of it are settled.
    fn retire(&mut self, id: ReservationId) {
        let Some(allotment) = self.drawn.get_mut(&id) else {
            return;
        };
        if !allotment.is_over {
            allotment.is_over = true;
            self.by_legs.remove(&key(&allotment.open.legs));
        }
        if allotment.parts == 0 {
            self.end(id);
        }
    }

    fn end(&mut self, id: ReservationId) {
        let allotment = self.drawn.remove(&id).expect("it is drawn");
        self.ended.push(Ended {
            open: allotment.open,
            spent: allotment.spent,
            over: allotment.over,
        });
    }

    fn retire_where(&mut self, is: impl Fn(&Allotment) -> bool) -> bool {
        let ids = self.by_legs.values().copied();
        let ids: Vec<_> = ids.filter(|id| is(&self.drawn[id])).collect();
        for id in &ids {
            self.retire(*id);
        }
        !ids.is_empty()
    }

    /// Gives back what shares a hard leg with a reservation that was refused. Whether there was anything.
    pub(super) fn retire_shared(&mut self, reservation: &Reservation) -> bool {
        let hard: Vec<_> = reservation
            .legs()
            .iter()
            .filter(|leg| leg.budget().mode() == Mode::Hard)
            .map(Leg::account)
            .collect();
        self.retire_where(|allotment| {
            let mut legs = allotment.open.legs.iter();
            allotment.parts == 0 && legs.any(|leg| hard.contains(&leg.account()))
        })
    }

    /// Redis can be reached again: what was spent meanwhile is to be seen there.
    pub(super) fn retire_begun(&mut self) {
        if mem::take(&mut self.is_begun) {
            self.retire_where(|allotment| allotment.is_begun);
        }
    }

    pub(super) fn retire_all(&mut self) {
        self.wanted.clear();
        self.retire_where(|_| true);
    }

    /// Gives back what nobody uses any more.
    pub(super) fn retire_idle(&mut self, now: Instant, wall: SystemTime) {
        let wall = seconds(wall);
        self.retire_where(|allotment| {
            let mut legs = allotment.open.legs.iter();
            now.saturating_duration_since(allotment.used) > IDLE
                || legs.any(|leg| leg.span().until() <= wall)
        });
    }

    /// Those whose headroom has to be looked at: this process has not used it since it was asked last.
    pub(super) fn unchecked(&mut self) -> Vec<Arc<Open>> {
        let mut unchecked = Vec::new();
        for id in self.by_legs.values() {
            let allotment = self.drawn.get_mut(id).expect("it is drawn");
            if !allotment.is_checked {
                unchecked.push(Arc::clone(&allotment.open));
            }
            allotment.is_checked = false;
        }
        unchecked
    }

    pub(super) fn checked(&mut self, id: ReservationId, rest: Rest) {
        if self
            .drawn
            .get(&id)
            .is_some_and(|allotment| allotment.is_too_much(rest))
        {
            self.retire(id);
        }
    }
}

impl Allotment {
    fn is_too_much(&self, rest: Rest) -> bool {
        is_too_much(counts(self.open.granted), rest)
    }

    fn counts(&self, currency: Currency) -> bool {
        self.open
            .legs
            .iter()
            .any(|leg| leg.budget().currency() == currency)
    }
}

fn is_too_much(amount: Counts, rest: Rest) -> bool {
    amount
        .iter()
        .zip(rest)
        .any(|(amount, rest)| rest.is_some_and(|rest| rest / SHARE < *amount))
}

/// The accounts and their windows.
fn key(legs: &[Leg]) -> Box<str> {
    let mut key = String::new();
    for leg in legs {
        let account = account(leg);
        key += &format!("{} {} {account} ", leg.span().bucket(), account.len());
    }
    key.into()
}
