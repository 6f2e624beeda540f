//! The future of [`Edge`](crate::Edge).

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_chat::{Chat, Chunk};
use backstop_core::{Ask, BoxError, Trail};
use bytes::{Buf, Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::answer;
use crate::body::EdgeBody;
use crate::error::Rejection;
use crate::intake::{Intake, IntakeError};
use crate::layer::Options;

pin_project! {
    /// Reads the request, asks, and begins the answer.
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<Chat>>,
    {
        #[pin]
        state: State<S, S::Future, B, R>,
        options: Arc<Options>,
        trail: Trail,
        stream: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B, R> {
        Refused { rejection: Option<Rejection> },
        Reading { #[pin] intake: Intake<B>, head: Option<Parts>, inner: S },
        Asking { #[pin] future: F },
        // An answer that is not streamed: its head waits for its end.
        Finishing { #[pin] body: R, head: Option<http::response::Parts>, first: Bytes, rest: BytesMut },
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<Chat>>,
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(options: Arc<Options>, trail: Trail, inner: S, request: Request<B>) -> Self {
        let (head, body) = request.into_parts();
        let intake = Intake::new(body, options.body_limit);
        Self {
            state: State::Reading {
                intake,
                head: Some(head),
                inner,
            },
            options,
            trail,
            stream: false,
        }
    }

    pub(crate) fn refused(options: Arc<Options>, trail: Trail, rejection: Rejection) -> Self {
        Self {
            state: State::Refused {
                rejection: Some(rejection),
            },
            options,
            trail,
            stream: false,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<Chat>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body<Data = Chunk>,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<EdgeBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let rejection = match this.state.as_mut().project() {
                StateProj::Refused { rejection } => {
                    rejection.take().expect("polled after completion")
                }
                StateProj::Reading {
                    intake,
                    head,
                    inner,
                } => {
                    let read = match ready!(intake.poll(cx)) {
                        Ok(payload) => {
                            Chat::parse(payload).map_err(|invalid| Rejection::invalid(&invalid))
                        }
                        Err(IntakeError::TooLarge) => {
                            Err(Rejection::too_large(this.options.body_limit))
                        }
                        Err(IntakeError::Broken) => Err(Rejection::unreadable()),
                    };
                    match read {
                        Err(rejection) => rejection,
                        Ok(chat) => {
                            this.trail.asked(chat.shared_model(), chat.stream());
                            *this.stream = chat.stream();
                            let head = head.take().expect("polled after completion");
                            let future = inner.call(Request::from_parts(head, chat));
                            this.state.set(State::Asking { future });
                            continue;
                        }
                    }
                }
                StateProj::Asking { future } => match ready!(future.poll(cx)) {
                    Err(error) => Rejection::of(&error.into()),
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        if *this.stream {
                            let body = EdgeBody::stream(
                                body,
                                Arc::clone(this.options),
                                this.trail.clone(),
                            );
                            return Poll::Ready(Ok(answer::head(
                                &head,
                                this.options,
                                this.trail,
                                true,
                            )
                            .map(|()| body)));
                        }
                        let head = Some(head);
                        this.state.set(State::Finishing {
                            body,
                            head,
                            first: Bytes::new(),
                            rest: BytesMut::new(),
                        });
                        continue;
                    }
                },
                StateProj::Finishing {
                    mut body,
                    head,
                    first,
                    rest,
                } => match ready!(body.as_mut().poll_frame(cx)) {
                    Some(Err(error)) => {
                        this.trail.surface();
                        Rejection::of(&error.into())
                    }
                    Some(Ok(frame)) => {
                        if let Ok(chunk) = frame.into_data() {
                            append(first, rest, chunk);
                        }
                        continue;
                    }
                    None => {
                        let head = head.take().expect("polled after completion");
                        let document = if rest.is_empty() {
                            std::mem::take(first)
                        } else {
                            rest.split().freeze()
                        };
                        let response = answer::head(&head, this.options, this.trail, false);
                        return Poll::Ready(Ok(response.map(|()| EdgeBody::full(document))));
                    }
                },
            };
            this.trail.end(rejection.outcome());
            return Poll::Ready(Ok(rejection
                .into_response(this.options, this.trail)
                .map(EdgeBody::full)));
        }
    }
}

/// Answers are one chunk, but for a layer's own doing.
fn append(first: &mut Bytes, rest: &mut BytesMut, mut chunk: Chunk) {
    if first.is_empty() && rest.is_empty() {
        *first = chunk.into_bytes();
    } else {
        if rest.is_empty() {
            rest.extend_from_slice(first);
        }
        rest.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
    }
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<Chat>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("trail", &self.trail)
            .finish_non_exhaustive()
    }
}
