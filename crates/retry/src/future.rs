//! The pause before a repeat.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

pin_project! {
    /// Resolves when the call may be repeated: at once, without a timer, if there is no delay.
    #[derive(Debug)]
    pub struct Pause {
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Pause {
    pub(crate) fn new(delay: Duration) -> Self {
        Self {
            sleep: (!delay.is_zero()).then(|| sleep(delay)),
        }
    }
}

impl Future for Pause {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx),
            None => Poll::Ready(()),
        }
    }
}
