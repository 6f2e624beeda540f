//! Requests, providers and answers to test with.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use backstop_core::{
    Ask, BoxError, Deployment, Failure, FailureKind, Frame, Ineligible, failure_of,
};
use backstop_region::{Declaration, Derivation, Mark, Place, Regions};
use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::Body;
use tower::{Service, service_fn};

/// A request for a model.
#[derive(Clone, Debug)]
pub(crate) struct Prompt(pub(crate) &'static str);

impl Ask for Prompt {
    fn model(&self) -> &str {
        self.0
    }

    fn streams(&self) -> bool {
        false
    }
}

/// A frame that may say where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    pub(crate) place: Option<&'static str>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Frame for Piece {
    fn is_content(&self) -> bool {
        !self.bytes.is_empty()
    }

    fn is_terminal(&self) -> bool {
        false
    }

    fn place(&self) -> Option<&str> {
        self.place
    }
}

/// An answer of some pieces.
#[derive(Debug)]
pub(crate) struct Pieces(VecDeque<Piece>);

impl Pieces {
    pub(crate) fn of(places: impl IntoIterator<Item = Option<&'static str>>) -> Self {
        let piece = |place| Piece {
            bytes: Bytes::from_static(b"Hello"),
            place,
        };
        Self(places.into_iter().map(piece).collect())
    }
}

impl Body for Pieces {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Piece>, Infallible>>> {
        Poll::Ready(
            self.0
                .pop_front()
                .map(|piece| Ok(http_body::Frame::data(piece))),
        )
    }
}

/// Who was called, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    pub(crate) fn add(&self, id: &str) {
        self.0.lock().expect("no panic").push(id.to_owned());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

/// A provider that writes down that it was called, and answers or fails.
pub(crate) fn provider<B: 'static>(
    id: &'static str,
    journal: &Journal,
    fails: Option<FailureKind>,
) -> impl Service<
    Request<B>,
    Response = Response<Pieces>,
    Error = BoxError,
    Future = std::future::Ready<Result<Response<Pieces>, BoxError>>,
> + Clone
+ use<B> {
    let journal = journal.clone();
    service_fn(move |_: Request<B>| {
        journal.add(id);
        std::future::ready(match fails {
            Some(kind) => Err(Failure::new(kind).into()),
            None => Ok(Response::new(Pieces::of([None]))),
        })
    })
}

pub(crate) fn set(names: &[&str]) -> Regions {
    Regions::of(names).expect("known names")
}

/// A place that is declared.
pub(crate) fn place(processing: &[&str], storage: &[&str], marks: &[&str]) -> Place {
    let mut declared = Declaration::new(Derivation::unknown());
    if !processing.is_empty() {
        declared = declared.processing(set(processing));
    }
    if !storage.is_empty() {
        declared = declared.storage(set(storage));
    }
    for mark in marks {
        declared = declared.mark(Mark::new(mark));
    }
    declared.check().expect("nothing contradicts it")
}

pub(crate) fn deployment(id: &'static str) -> Arc<Deployment> {
    Arc::new(Deployment::new(id))
}

/// What a future that need not wait resolves to.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// The failure of an error.
pub(crate) fn failure(error: &BoxError) -> &Failure {
    failure_of(&**error).expect("a failure in the chain")
}

#[track_caller]
pub(crate) fn assert_refused<T>(outcome: Result<T, BoxError>, detail: &str) {
    let Err(error) = outcome else {
        panic!("it went through");
    };
    let failure = failure(&error);
    assert_eq!(failure.kind(), FailureKind::Ineligible(Ineligible::Region));
    assert_eq!(failure.detail(), Some(detail));
}
