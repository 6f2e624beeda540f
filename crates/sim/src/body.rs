//! The response body: the steps of a script, and the exchange that ends with it.

use crate::{
    journal::{Journal, Progress},
    server::Line,
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
    vec,
};
use tokio::time::{Sleep, sleep};

/// One thing that a body does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// The same bytes again and again, this many times.
    Repeat(Bytes, u64),
    /// Nothing more, but for the keep-alive.
    Stall(Option<(Duration, Bytes)>),
    /// Closes the connection without ending the body.
    Close,
    /// Resets the connection.
    Reset,
}

/// One request and its answer. Dropped before its end, it says in the journal that the client has gone.
#[derive(Debug)]
pub(crate) struct Exchange {
    journal: Arc<Journal>,
    line: Arc<Line>,
    pub(crate) seq: u64,
    open: bool,
}

impl Exchange {
    pub(crate) fn new(journal: Arc<Journal>, line: Arc<Line>, seq: u64) -> Self {
        Self {
            journal,
            line,
            seq,
            open: true,
        }
    }

    pub(crate) fn status(&self, status: http::StatusCode) {
        self.journal
            .update(self.seq, |entry| entry.status = Some(status.as_u16()));
    }

    fn end(&mut self, progress: Progress) {
        if std::mem::take(&mut self.open) {
            self.journal
                .update(self.seq, |entry| entry.progress = progress);
        }
    }

    /// Resets the connection as soon as what was written is out, and waits for that.
    pub(crate) async fn reset(mut self) -> Infallible {
        self.end(Progress::Cut);
        self.line.reset();
        std::future::pending().await
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end(Progress::ClientGone);
    }
}

/// A body that follows its steps.
#[derive(Debug)]
pub(crate) struct ScriptBody {
    steps: vec::IntoIter<Step>,
    now: Option<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    exchange: Option<Exchange>,
    length: Option<u64>,
}

impl ScriptBody {
    /// A body of `steps`; with `length` it declares that many bytes, whatever the steps send.
    pub(crate) fn new(steps: Vec<Step>, length: Option<u64>, exchange: Option<Exchange>) -> Self {
        let mut body = Self {
            steps: steps.into_iter(),
            now: None,
            sleep: None,
            exchange,
            length,
        };
        body.advance();
        body
    }

    /// A body of known bytes that belongs to no exchange.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self::new(vec![Step::Send(bytes)], Some(length), None)
    }

    fn advance(&mut self) {
        self.now = self.steps.next();
        if self.now.is_none() {
            self.end(Progress::Finished);
        }
    }

    fn end(&mut self, progress: Progress) {
        if let Some(exchange) = &mut self.exchange {
            exchange.end(progress);
        }
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, duration: Duration) -> Poll<()> {
        let timer = self.sleep.get_or_insert_with(|| Box::pin(sleep(duration)));
        ready!(timer.as_mut().poll(cx));
        self.sleep = None;
        Poll::Ready(())
    }
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            match self.now.take() {
                None => return Poll::Ready(None),
                Some(Step::Send(bytes)) => {
                    self.advance();
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Repeat(bytes, left)) => {
                    if left > 1 {
                        self.now = Some(Step::Repeat(bytes.clone(), left - 1));
                    } else {
                        self.advance();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Wait(duration)) => {
                    if self.poll_sleep(cx, duration).is_pending() {
                        self.now = Some(Step::Wait(duration));
                        return Poll::Pending;
                    }
                    self.advance();
                }
                Some(Step::Stall(ping)) => {
                    let sent = match &ping {
                        Some((every, bytes)) => self.poll_sleep(cx, *every).map(|()| bytes.clone()),
                        None => Poll::Pending,
                    };
                    self.now = Some(Step::Stall(ping));
                    return sent.map(|bytes| Some(Ok(Frame::data(bytes))));
                }
                Some(step @ (Step::Close | Step::Reset)) => {
                    self.end(Progress::Cut);
                    if let Some(exchange) = &self.exchange {
                        match step {
                            Step::Close => exchange.line.close(),
                            _ => exchange.line.reset(),
                        }
                    }
                    // The connection ends at the flush that follows this poll.
                    self.now = Some(step);
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.now.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Provider, journal::Entry};
    use http_body_util::BodyExt;
    use tokio::time::Instant;

    fn exchange() -> (Arc<Journal>, Exchange) {
        let journal = Arc::new(Journal::new());
        let seq = journal.open(|seq| Entry::sample(seq, Provider::OpenAi, Bytes::new()));
        let exchange = Exchange::new(Arc::clone(&journal), Arc::default(), seq);
        (journal, exchange)
    }

    fn progress(journal: &Journal) -> Progress {
        journal.entries()[0].progress
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_waits_and_is_finished_with_its_last_bytes() {
        let (journal, exchange) = exchange();
        let steps = vec![
            Step::Wait(Duration::from_secs(2)),
            Step::Send("a".into()),
            Step::Wait(Duration::from_secs(3)),
            Step::Send("b".into()),
        ];
        let mut body = ScriptBody::new(steps, None, Some(exchange));
        let start = Instant::now();
        let since = || Instant::now().saturating_duration_since(start).as_secs();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "a"
        );
        assert_eq!((since(), progress(&journal)), (2, Progress::Open));
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "b"
        );
        assert_eq!((since(), progress(&journal)), (5, Progress::Finished));
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_sends_its_keep_alive_until_it_is_dropped() {
        let (journal, exchange) = exchange();
        let ping = Some((Duration::from_secs(1), Bytes::from_static(b"ping")));
        let mut body = ScriptBody::new(vec![Step::Stall(ping)], None, Some(exchange));
        let start = Instant::now();
        for second in 1..4 {
            assert_eq!(
                body.frame().await.unwrap().unwrap().into_data().unwrap(),
                "ping"
            );
            assert_eq!(
                Instant::now().saturating_duration_since(start).as_secs(),
                second
            );
        }
        drop(body);
        assert_eq!(progress(&journal), Progress::ClientGone);
    }

    #[tokio::test]
    async fn a_reset_throws_the_switch_of_its_connection_and_sends_nothing() {
        let (journal, exchange) = exchange();
        let line = Arc::clone(&exchange.line);
        let mut body = ScriptBody::new(vec![Step::Reset], None, Some(exchange));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        assert!(line.is_reset());
        assert_eq!(progress(&journal), Progress::Cut);
    }
}
