use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

pin_project! {
    /// A timer that is made when it is first needed, and used again.
    #[derive(Debug)]
    pub(crate) struct Alarm {
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Alarm {
    pub(crate) const fn new() -> Self {
        Self { sleep: None }
    }

    /// Whether it is `at`; if not, the task is woken then.
    pub(crate) fn poll_at(self: Pin<&mut Self>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.project().sleep;
        match slot.as_mut().as_pin_mut() {
            None => slot.set(Some(sleep_until(at))),
            Some(sleep) if sleep.deadline() != at => sleep.reset(at),
            Some(_) => {}
        }
        slot.as_pin_mut().expect("it was just set").poll(cx)
    }
}
