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
        loop {
            if let Some(chunk) = this.state.as_mut().and_then(|state| state.out.pop_front()) {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            let frame = match this.leg.as_mut().project() {
                LegProj::First { body } => ready!(body.poll_frame(cx)),
                LegProj::Further { body } => ready!(body.as_mut().poll_frame(cx)),
                LegProj::Over => return Poll::Ready(None),
                LegProj::Asking { ask } => {
                    let state = this
                        .state
                        .as_mut()
                        .expect("only a stream that can go on asks");
                    let next = match ready!(ask.as_mut().poll(cx)) {
                        Ok(response) => {
                            let (head, body) = response.into_parts();
                            this.leg.set(Leg::Further {
                                body: Box::pin(body),
                            });
                            state.begun(head.extensions.get().copied(), head.extensions.get())
                        }
                        Err(_) => Some(state.give_up("no deployment could go on")),
                    };
                    if let Some(error) = follow(this.leg.as_mut(), state, next) {
                        return Poll::Ready(Some(Err(error)));
                    }
                    continue;
                }
            };
            let Some(state) = this.state.as_mut() else {
                if !matches!(frame, Some(Ok(_))) {
                    this.leg.set(Leg::Over);
                }
                return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
            };
            let next = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => Some(state.take(chunk)),
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Some(Err(error)) => Some(state.broke(error.into())),
                None => {
                    let next = state.ended();
                    if next.is_none() {
                        this.leg.set(Leg::Over);
                    }
                    next
                }
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
fn follow<S, B>(
    mut leg: Pin<&mut Leg<S, B>>,
    state: &State<S>,
    next: Option<Next>,
) -> Option<BoxError>
where
    S: Service<Request<Chat>> + Clone,
{
    match next {
        None | Some(Next::Continue) => None,
        Some(Next::Ask(request)) => {
            // The part that broke lets go of all that it holds before the next one begins.
            leg.set(Leg::Over);
            let ask = Box::pin(Ask::new(state.service.clone(), *request));
            leg.set(Leg::Asking { ask });
            None
        }
        Some(Next::Fail(error)) => {
            leg.set(Leg::Over);
            Some(error)
        }
    }
}

impl<S: Service<Request<Chat>>, B> fmt::Debug for ResumeBody<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeBody")
            .field("resumes", &self.state.as_ref().map(|state| state.resumes))
            .finish_non_exhaustive()
    }
}
