//! Which cores the load runs on, and which ones what is measured.
//!
//! On the same cores, what a request costs depends on who was there a moment ago: the load's threads push the server's
//! code and data out of the caches, and a gateway has more to lose than a proxy. Between rounds on a quiet machine the
//! processor time of a request differs by a quarter then, and on cores of its own by far less.

use crate::Result;

/// Who runs where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// What is measured, on one half of the cores.
    Measured,
    /// The load and the providers that it ends at, on the other.
    Load,
    /// Wherever the system likes.
    Anywhere,
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::{Place, Result};

    /// The cores that this process may use.
    #[derive(Debug)]
    pub(crate) struct Cores {
        all: CpuSet,
        measured: CpuSet,
        load: CpuSet,
    }

    impl Cores {
        /// Splits them; a single core is for all.
        pub(crate) fn split() -> Result<Self> {
            let all = sched_getaffinity(None)?;
            let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
                .filter(|cpu| all.is_set(*cpu))
                .collect();
            if allowed.len() < 2 {
                return Ok(Self {
                    all,
                    measured: all,
                    load: all,
                });
            }
            let set = |cpus: &[usize]| {
                let mut set = CpuSet::new();
                cpus.iter().for_each(|cpu| set.set(*cpu));
                set
            };
            let (measured, load) = allowed.split_at(allowed.len() / 2);
            Ok(Self {
                all,
                measured: set(measured),
                load: set(load),
            })
        }

        /// Moves this thread there, and with it what it starts from now on.
        pub(crate) fn enter(&self, place: Place) -> Result<()> {
            let cpus = match place {
                Place::Measured => &self.measured,
                Place::Load => &self.load,
                Place::Anywhere => &self.all,
            };
            Ok(sched_setaffinity(None, cpus)?)
        }
    }
}

#[cfg(target_os = "linux")]
pub(crate) use self::linux::Cores;

/// Elsewhere nobody is moved.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Cores;

#[cfg(not(target_os = "linux"))]
impl Cores {
    pub(crate) fn split() -> Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as where it does something")]
    pub(crate) fn enter(&self, _: Place) -> Result<()> {
        Ok(())
    }
}
