//! A service of one's own, with nothing of an LLM about it but that it is asked and answers.

use std::sync::{Arc, Mutex};

use backstop_budget::{Balance, Budget, Budgets, Limit, MemoryLedger};
use backstop_core::{Ask, BoxError, Frame, NanoUsd, PromptSize, Trail, Usage};
use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body_util::StreamBody;
use tokio::sync::mpsc;

/// A request: so many bytes, and the bound on its answer.
#[derive(Clone, Debug)]
pub(crate) struct Prompt {
    pub(crate) bytes: u64,
    pub(crate) most: Option<u64>,
    pub(crate) choices: u64,
}

impl Ask for Prompt {
    fn model(&self) -> &str {
        "smart"
    }

    fn streams(&self) -> bool {
        true
    }

    fn prompt_size(&self) -> Option<PromptSize> {
        let mut size = PromptSize::default();
        // The closure's price adds 64 for what stands around a prompt.
        size.text = self.bytes - 64;
        Some(size)
    }

    fn max_output(&self) -> Option<u64> {
        self.most
    }

    fn choices(&self) -> u64 {
        self.choices
    }

    fn clamp_output(&mut self, tokens: u64) -> bool {
        self.most = Some(self.most.map_or(tokens, |most| most.min(tokens)));
        true
    }
}

/// At most 100 tokens in, 200 out: 500 nano-dollars.
pub(crate) fn prompt() -> Request<Prompt> {
    Request::new(Prompt {
        bytes: 100,
        most: Some(200),
        choices: 1,
    })
}

pub(crate) fn traced() -> (Request<Prompt>, Trail) {
    let trail = Trail::start();
    let mut request = prompt();
    request.extensions_mut().insert(trail.clone());
    (request, trail)
}

/// One nano-dollar for a token in, two for one out.
#[expect(clippy::unnecessary_wraps, reason = "a price")]
pub(crate) fn price(usage: &Usage) -> Option<NanoUsd> {
    Some(NanoUsd::from_nano(usage.input + 2 * usage.output))
}

/// What a provider sends.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Text(Bytes),
    Usage(Usage),
    End,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            _ => &[],
        }
    }

    fn advance(&mut self, count: usize) {
        if let Self::Text(text) = self {
            text.advance(count);
        }
    }
}

impl Frame for Piece {
    fn is_content(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Self::End)
    }

    fn usage(&self) -> Option<&Usage> {
        match self {
            Self::Usage(usage) => Some(usage),
            _ => None,
        }
    }
}

pub(crate) fn text() -> Piece {
    Piece::Text(Bytes::from_static(b"word"))
}

pub(crate) fn used(input: u64, output: u64) -> Piece {
    Piece::Usage(Usage::reported(input, output))
}

pub(crate) type Answer = StreamBody<Pieces>;

/// What is sent, by hand or all at once.
#[derive(Debug)]
pub(crate) struct Pieces(mpsc::UnboundedReceiver<Result<Piece, BoxError>>);

impl futures_core::Stream for Pieces {
    type Item = Result<http_body::Frame<Piece>, BoxError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| piece.map(http_body::Frame::data)))
    }
}

pub(crate) fn answer(
    pieces: impl IntoIterator<Item = Result<Piece, BoxError>>,
) -> Response<Answer> {
    let (sender, receiver) = mpsc::unbounded_channel();
    for piece in pieces {
        sender.send(piece).expect("it is open");
    }
    Response::new(StreamBody::new(Pieces(receiver)))
}

/// 90 tokens in, 50 out: 190 nano-dollars.
pub(crate) fn whole() -> Response<Answer> {
    answer([Ok(text()), Ok(used(90, 50)), Ok(Piece::End)])
}

pub(crate) fn usd(nano: u64) -> Limit {
    Limit::Usd(NanoUsd::from_nano(nano))
}

pub(crate) fn budgets(list: impl IntoIterator<Item = Budget>) -> Budgets {
    Budgets::new(Arc::new(MemoryLedger::new()), list).expect("names of their own")
}

pub(crate) async fn balance(budgets: &Budgets) -> Balance {
    budgets.balances().await.expect("it is there").remove(0)
}

pub(crate) async fn booked(budgets: &Budgets) -> (u64, u64) {
    let balance = balance(budgets).await;
    (balance.spent, balance.reserved)
}

/// What was asked of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<Prompt>>>);

impl Calls {
    pub(crate) fn note(&self, request: &Request<Prompt>) {
        self.0
            .lock()
            .expect("no panic")
            .push(request.body().clone());
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    pub(crate) fn last(&self) -> Prompt {
        let calls = self.0.lock().expect("no panic");
        calls.last().expect("it was called").clone()
    }
}

/// A service that notes what it is asked, and answers as it is told.
pub(crate) fn service(
    calls: &Calls,
    answer: impl Fn() -> Result<Response<Answer>, BoxError> + Send + Sync + 'static,
) -> Scripted {
    Scripted {
        calls: calls.clone(),
        answer: Arc::new(answer),
    }
}

#[derive(Clone)]
pub(crate) struct Scripted {
    calls: Calls,
    answer: Arc<dyn Fn() -> Result<Response<Answer>, BoxError> + Send + Sync>,
}

impl tower::Service<Request<Prompt>> for Scripted {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<Answer>, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Prompt>) -> Self::Future {
        self.calls.note(&request);
        std::future::ready((self.answer)())
    }
}
