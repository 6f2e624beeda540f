//! The body of [`Resume`](crate::Resume)'s responses: one stream, of as many parts as it takes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_chat::{Chat, Chunk};
use backstop_core::BoxError;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::leg::Ask;
use crate::state::{Next, State};

pin_project! {
    /// An answer that goes on when it breaks.
    pub struct ResumeBody<S, B>
    where
        S: Service<Request<Chat>>,
    {
        #[pin]
        leg: Leg<S, B>,
        // There if the answer can be continued at all.
        state: Option<Box<State<S>>>,
    }
}

pin_project! {
    #[project = LegProj]
    enum Leg<S, B>
    where
        S: Service<Request<Chat>>,
    {
        First { #[pin] body: B },
        Asking { ask: Pin<Box<Ask<S>>> },
        Further { body: Pin<Box<B>> },
        Over,
    }
}

impl<S: Service<Request<Chat>>, B> ResumeBody<S, B> {
    pub(crate) fn new(body: B, state: Option<Box<State<S>>>) -> Self {
        Self {
            leg: Leg::First { body },
            state,
        }
    }
}

impl<S, B> Body for ResumeBody<S, B>
where
    S: Service<Request<Chat>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Chunk>,
    B::Error: Into<BoxError>,
{
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        let mut this = self.project();
        let Some(state) = this.state.as_mut() else {
            let LegProj::First { body } = this.leg.as_mut().project() else {
                return Poll::Ready(None);
            };
            let frame = ready!(body.poll_frame(cx));
            if !matches!(frame, Some(Ok(_))) {
                this.leg.set(Leg::Over);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        };
        loop {
            if let Some(chunk) = state.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            let frame = match this.leg.as_mut().project() {
                LegProj::Over => return Poll::Ready(None),
                _ if state.timers.poll_end(cx).is_ready() => {
                    let error = state.too_late();
                    this.leg.set(Leg::Over);
                    return Poll::Ready(Some(Err(error)));
                }
                _ if state.timers.poll_sign(cx).is_ready() => {
                    return Poll::Ready(Some(Ok(Frame::data(Chunk::comment()))));
                }
                LegProj::First { body } => ready!(body.poll_frame(cx)),
                LegProj::Further { body } => ready!(body.as_mut().poll_frame(cx)),
                LegProj::Asking { ask } => {
                    let next = match ready!(ask.as_mut().poll(cx)) {
                        Ok(response) => {
                            let (head, body) = response.into_parts();
                            let body = Box::pin(body);
                            this.leg.set(Leg::Further { body });
                            state.begun(head.extensions.get().copied(), head.extensions.get())
                        }
                        Err(_) => state.give_up("no deployment could go on"),
                    };
                    if let Some(error) = follow(this.leg.as_mut(), state, next) {
                        return Poll::Ready(Some(Err(error)));
                    }
                    continue;
                }
            };
            let next = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => state.take(chunk),
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Some(Err(error)) => state.broke(error.into()),
                None => state.ended(),
            };
            if let Some(error) = follow(this.leg.as_mut(), state, next) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let waiting = self
            .state
            .as_ref()
            .is_some_and(|state| !state.out.is_empty());
        matches!(self.leg, Leg::Over) && !waiting
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.leg, &self.state) {
            (Leg::First { body }, None) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

/// Does what follows; the error that ends the stream, if one does.
fn follow<S, B>(mut leg: Pin<&mut Leg<S, B>>, state: &State<S>, next: Next) -> Option<BoxError>
where
    S: Service<Request<Chat>> + Clone,
{
    if matches!(next, Next::Continue) {
        return None;
    }
    // The part that is over lets go of all that it holds before anything else begins.
    leg.set(Leg::Over);
    match next {
        Next::Continue | Next::Done => None,
        Next::Ask(request) => {
            let ask = Box::pin(Ask::new(state.service.clone(), *request));
            leg.set(Leg::Asking { ask });
            None
        }
        Next::Fail(error) => Some(error),
    }
}

impl<S: Service<Request<Chat>>, B> fmt::Debug for ResumeBody<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeBody")
            .field("resumes", &self.state.as_ref().map(|state| state.resumes))
            .finish_non_exhaustive()
    }
}
