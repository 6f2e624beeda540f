//! The future of a [`Fallback`](crate::Fallback).

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, Classify, HasExtensions, Observe};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::plan::{Plan, Step};
use crate::{Event, Strategy};

pin_project! {
    /// Asks one target after another; owns the one attempt that is in flight.
    ///
    /// # Panics
    ///
    /// When it is polled after it was ready.
    pub struct ResponseFuture<S, P, C, O, Req>
    where
        S: Service<Req>,
    {
        plan: Plan<S, P, C, O, Req>,
        #[pin]
        state: State<S, Req, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, F> {
        // No attempt is under way: the plan says what follows.
        Next,
        // A fresh clone, not ready until it says so.
        Readying { service: S, request: Option<Req> },
        Calling { #[pin] future: F },
        Done,
    }
}

impl<S: Service<Req>, P, C, O, Req> ResponseFuture<S, P, C, O, Req> {
    pub(crate) fn new(plan: Plan<S, P, C, O, Req>) -> Self {
        Self {
            plan,
            state: State::Next,
        }
    }
}

impl<S, P, C, O, Req> Future for ResponseFuture<S, P, C, O, Req>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    P: Strategy<Req>,
    C: Classify<S::Response>,
    O: for<'a> Observe<Event<'a>>,
    Req: Clone + HasExtensions,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let step = match this.state.as_mut().project() {
                StateProj::Next => this.plan.begin(),
                StateProj::Readying { service, request } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        let request = request.take().expect("a target is called once");
                        let future = service.call(request);
                        this.state.set(State::Calling { future });
                        continue;
                    }
                    Err(error) => {
                        this.state.set(State::Next);
                        this.plan.judge(Err(error.into()))
                    }
                },
                StateProj::Calling { future } => {
                    let outcome = ready!(future.poll(cx)).map_err(Into::into);
                    // What the attempt holds is given back before the next one starts.
                    this.state.set(State::Next);
                    this.plan.judge(outcome)
                }
                StateProj::Done => panic!("polled after completion"),
            };
            match step {
                Step::Ask(index) => {
                    let (service, request) = this.plan.attempt(index);
                    let request = Some(request);
                    this.state.set(State::Readying { service, request });
                }
                Step::End(result) => {
                    this.state.set(State::Done);
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl<S: Service<Req>, P, C, O, Req> fmt::Debug for ResponseFuture<S, P, C, O, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
