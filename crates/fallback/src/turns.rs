use backstop_core::{Failure, FailureKind};
use http::Extensions;

use crate::Candidate;

/// Who had a turn in this request, and who may have one.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: usize,
    /// How many of those that had their turn are not refused.
    admitted: usize,
    /// Those that their own checks refuse, by their places.
    refused: Vec<(usize, Failure)>,
    /// Those that had their turn, and the closed ones among the others of the same deployment.
    gone: Places,
    /// Those that were closed at first and no longer are.
    opened: Places,
}

impl Turns {
    /// For a request with these extensions.
    pub(crate) fn new(all: &[Candidate], extensions: &Extensions) -> Self {
        let refused = |one: &Candidate| Some((one.index(), one.refusal(extensions)?));
        Self {
            refused: all.iter().filter_map(refused).collect(),
            ..Self::default()
        }
    }

    /// Why the request may not go to the one at `index`.
    pub(crate) fn refusal(&self, index: usize) -> Option<&Failure> {
        let mut refused = self.refused.iter();
        refused
            .find(|(refused, _)| *refused == index)
            .map(|(_, failure)| failure)
    }

    /// How many had their turn.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// How many of `all` had their turn or may have it, as far as is known.
    pub(crate) fn open(&self, all: &[Candidate]) -> usize {
        self.taken + all.iter().filter(|one| self.is_left(one)).count()
    }

    /// How many had their turn and are not refused.
    pub(crate) fn admitted(&self) -> usize {
        self.admitted
    }

    /// How many of those that are open are not refused.
    pub(crate) fn admissible(&self, all: &[Candidate]) -> usize {
        let left = all.iter().filter(|one| self.is_left(one));
        self.admitted
            + left
                .filter(|one| self.refusal(one.index()).is_none())
                .count()
    }

    pub(crate) fn is_left(&self, candidate: &Candidate) -> bool {
        !self.gone.contains(candidate.index())
            && (!candidate.waits() || self.opened.contains(candidate.index()))
    }

    /// The one at `index` has its turn.
    pub(crate) fn take(&mut self, all: &[Candidate], index: usize) {
        self.taken += 1;
        self.admitted += usize::from(self.refusal(index).is_none());
        self.gone.add(index);
        for twin in twins(all, index).filter(|twin| twin.waits()) {
            self.gone.add(twin.index());
        }
    }

    /// Opens those of `all` that are closed until such a failure. They stand in for others of their deployment.
    pub(crate) fn fail(&mut self, all: &[Candidate], failure: FailureKind) {
        for candidate in all.iter().filter(|one| one.is_opened_by(failure)) {
            let index = candidate.index();
            if !self.gone.contains(index) && !self.opened.contains(index) {
                self.opened.add(index);
                for twin in twins(all, index) {
                    self.gone.add(twin.index());
                }
            }
        }
    }

    /// Whether a failure may yet open one of `all`.
    pub(crate) fn may_open(&self, all: &[Candidate]) -> bool {
        all.iter().any(|one| {
            let index = one.index();
            one.waits() && !self.opened.contains(index) && !self.gone.contains(index)
        })
    }
}

/// The others of the same deployment.
fn twins(all: &[Candidate], index: usize) -> impl Iterator<Item = &Candidate> {
    let id = all[index].deployment().id();
    all.iter()
        .filter(move |twin| twin.index() != index && twin.deployment().id() == id)
}

/// A set of places in the chain. The first 64 cost no allocation.
#[derive(Debug, Default)]
struct Places {
    first: u64,
    more: Vec<u64>,
}

impl Places {
    fn contains(&self, index: usize) -> bool {
        let word = match index / 64 {
            0 => self.first,
            word => self.more.get(word - 1).copied().unwrap_or(0),
        };
        word & (1 << (index % 64)) != 0
    }

    fn add(&mut self, index: usize) {
        let word = match index / 64 {
            0 => &mut self.first,
            word => {
                if self.more.len() < word {
                    self.more.resize(word, 0);
                }
                &mut self.more[word - 1]
            }
        };
        *word |= 1 << (index % 64);
    }
}
