use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The clocks of a stream. Each exists only while something waits for it.
#[derive(Debug)]
pub(crate) struct Timers {
    until: Option<Instant>,
    /// Goes off at `until`.
    end: Option<Pin<Box<Sleep>>>,
    interval: Duration,
    sign: Option<Pin<Box<Sleep>>>,
}

impl Timers {
    pub(crate) const fn new(until: Option<Instant>, interval: Duration) -> Self {
        Self {
            until,
            end: None,
            interval,
            sign: None,
        }
    }

    /// When the whole stream must be over.
    pub(crate) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// From now on the caller waits, and is given a sign of life in each interval.
    pub(crate) fn begin_signs(&mut self) {
        self.sign = (!self.interval.is_zero()).then(|| Box::pin(sleep(self.interval)));
    }

    pub(crate) fn end_signs(&mut self) {
        self.sign = None;
    }

    /// Ready when the whole stream should be over.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else {
            return Poll::Pending;
        };
        let end = self.end.get_or_insert_with(|| Box::pin(sleep_until(until)));
        end.as_mut().poll(cx)
    }

    /// Ready when a sign of life is due.
    pub(crate) fn poll_sign(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sign) = &mut self.sign else {
            return Poll::Pending;
        };
        let due = sign.as_mut().poll(cx);
        if due.is_ready() {
            // Whoever is given the sign polls again, which arms the timer for the next.
            sign.set(sleep(self.interval));
        }
        due
    }
}
