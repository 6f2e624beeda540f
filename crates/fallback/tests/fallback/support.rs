//! Targets that do as they are told, and write down what is done to them.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use backstop_core::{
    BoxError, Deployment, Exhausted, Failure, FailureKind, Ineligible, LastResort, Position, Trail,
};
use backstop_fallback::Target;
use http::{Request, Response};
use tower::Service;

/// What a target does with a call.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers.
    Answer,
    /// Answers 200, with this failure in it.
    Refuse(Failure),
    /// Fails.
    Fail(Failure),
    /// Fails before it is ready.
    Break(Failure),
    /// Is never ready.
    Wait,
    /// Never answers.
    Hang,
}

impl Act {
    pub(crate) fn fail(kind: FailureKind) -> Self {
        Self::Fail(kind.into())
    }

    pub(crate) fn deny(why: Ineligible) -> Self {
        Self::Fail(Failure::ineligible(why))
    }
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, entry: impl fmt::Display) {
        self.0.lock().expect("no panic").push(entry.to_string());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }

    /// Only who was called.
    pub(crate) fn calls(&self) -> Vec<String> {
        let mut entries = self.take();
        entries.retain(|entry| entry.starts_with("call "));
        entries
            .iter()
            .map(|entry| entry["call ".len()..].to_owned())
            .collect()
    }
}

/// A body that writes down when it is cloned.
pub(crate) struct Payload(pub(crate) Log);

impl Clone for Payload {
    fn clone(&self) -> Self {
        self.0.push("clone request");
        Self(self.0.clone())
    }
}

/// The error of a scripted target: its id, and the failure beneath.
#[derive(Debug)]
pub(crate) struct Scripted(pub(crate) String, pub(crate) Failure);

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.0)
    }
}

impl std::error::Error for Scripted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.1)
    }
}

pub(crate) struct Script {
    id: String,
    act: Act,
    /// What it does if it is asked as the last resort.
    last: Act,
    log: Log,
    ready: bool,
}

impl Clone for Script {
    fn clone(&self) -> Self {
        self.log.push(format_args!("clone {}", self.id));
        Self {
            id: self.id.clone(),
            act: self.act.clone(),
            last: self.last.clone(),
            log: self.log.clone(),
            ready: false,
        }
    }
}

impl Service<Request<Payload>> for Script {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Attempt;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &self.act {
            Act::Wait => Poll::Pending,
            Act::Break(failure) => {
                Poll::Ready(Err(Scripted(self.id.clone(), failure.clone()).into()))
            }
            _ => {
                self.ready = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, request: Request<Payload>) -> Attempt {
        assert!(
            self.ready,
            "the service that was readied is the one to call"
        );
        self.ready = false;
        let extensions = request.extensions();
        assert!(Trail::of(extensions).is_some(), "there is always a trail");
        let position = extensions.get::<Position>().expect("a position");
        let last = extensions.get::<LastResort>().is_some();
        self.log.push(format_args!(
            "call {} {}/{}{}",
            self.id,
            position.index(),
            position.of(),
            if last { " last" } else { "" },
        ));
        let act = if last { &self.last } else { &self.act };
        let outcome = match act {
            Act::Wait | Act::Hang => None,
            Act::Answer => Some(Ok(Response::new(self.id.clone()))),
            Act::Refuse(failure) => {
                let mut response = Response::new(self.id.clone());
                response.extensions_mut().insert(failure.clone());
                Some(Ok(response))
            }
            Act::Fail(failure) | Act::Break(failure) => {
                Some(Err(Scripted(self.id.clone(), failure.clone()).into()))
            }
        };
        Attempt {
            outcome,
            id: self.id.clone(),
            log: self.log.clone(),
        }
    }
}

pub(crate) struct Attempt {
    /// `None` never comes.
    outcome: Option<Result<Response<String>, BoxError>>,
    id: String,
    log: Log,
}

impl Future for Attempt {
    type Output = Result<Response<String>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.log.push(format_args!("gone {}", self.id));
    }
}

pub(crate) fn target(log: &Log, id: &str, act: Act) -> Target<Script> {
    target_at(log, Deployment::new(id), act.clone(), act)
}

pub(crate) fn target_at(log: &Log, deployment: Deployment, act: Act, last: Act) -> Target<Script> {
    let script = Script {
        id: deployment.id().to_string(),
        act,
        last,
        log: log.clone(),
        ready: false,
    };
    Target::new(deployment, script)
}

pub(crate) fn request(log: &Log) -> Request<Payload> {
    Request::new(Payload(log.clone()))
}

/// A request, and the trail in it.
pub(crate) fn trailed(log: &Log) -> (Request<Payload>, Trail) {
    let mut request = request(log);
    let trail = Trail::of_or_start(request.extensions_mut());
    (request, trail)
}

/// Polls once, without a runtime.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Whose own error it is.
pub(crate) fn own(error: &BoxError) -> &str {
    &error.downcast_ref::<Scripted>().expect("untouched").0
}

pub(crate) fn exhausted(error: &BoxError) -> &Exhausted {
    error.downcast_ref().expect("exhausted")
}

/// Who is in it, in order.
pub(crate) fn who(exhausted: &Exhausted) -> Vec<&str> {
    exhausted
        .errors()
        .iter()
        .map(|(deployment, _)| &**deployment.id())
        .collect()
}
