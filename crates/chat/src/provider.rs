//! A provider as a service: a [`Dialect`] over any HTTP client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, Reach, Trail, UpstreamId, failure_of};
use bytes::{Buf, Bytes, BytesMut};
use http::response::Parts;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{Chat, Continue, Continued, Decoded, Dialect, Mode, ProviderError};

/// How much of an error's body is read: more than any provider's error, less than an endless one.
const ERROR_BODY: usize = 64 * 1024;

/// What passes of an answer's headers: what is left of the rate limits.
const RATE_LIMITS: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

/// A provider: encode, ask any HTTP client, decode.
///
/// The client is any `Service<http::Request<Full<Bytes>>>` with an HTTP body in its response, so tower-http's
/// layers go between: tracing, headers, decompression, a proxy of one's own.
///
/// # Errors
///
/// A [`ProviderError`], boxed. A client error that carries a [`Failure`](backstop_core::Failure) keeps it; any
/// other is a network failure after the request was sent. An answer with a status other than 2xx is an error,
/// redirects included: nobody should send a prompt where a provider points.
///
/// # Cancel safety
///
/// Dropping the future or the body drops the client's: the upstream request is cancelled.
pub struct Provider<D, C> {
    dialect: Arc<D>,
    client: C,
}

impl<D: Dialect, C> Provider<D, C> {
    /// Asks in `dialect` through `client`.
    pub fn new(dialect: D, client: C) -> Self {
        Self {
            dialect: Arc::new(dialect),
            client,
        }
    }

    /// The dialect.
    pub fn dialect(&self) -> &D {
        &self.dialect
    }
}

impl<D, C, B> Service<Request<Chat>> for Provider<D, C>
where
    D: Dialect,
    C: Service<Request<Full<Bytes>>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<Decoded<B, D::Decoder>>;
    type Error = BoxError;
    type Future = ResponseFuture<D, C::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.client.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Chat>) -> Self::Future {
        let (state, continued) = match self.go_on(&mut request) {
            Ok(continued) => (self.ask(&request), continued),
            Err(error) => (State::Refused { error: Some(error) }, None),
        };
        ResponseFuture {
            state,
            dialect: Arc::clone(&self.dialect),
            chat: request.into_body(),
            continued,
        }
    }
}

impl<D, C> Provider<D, C>
where
    D: Dialect,
    C: Service<Request<Full<Bytes>>>,
{
    /// Changes a request that goes on with an answer, and says how it does.
    fn go_on(&self, request: &mut Request<Chat>) -> Result<Option<Mode>, ProviderError> {
        let Some(go_on) = request.extensions().get::<Continue>() else {
            return Ok(None);
        };
        let chat = request.body();
        let model = self.dialect.target_model(chat);
        let prefill = self.dialect.prefill(chat);
        let trail = Trail::of(request.extensions());
        let (chat, mode) = go_on.apply(chat, self.dialect.provider(), model, prefill, trail)?;
        *request.body_mut() = chat;
        Ok(Some(mode))
    }

    fn ask<B>(&mut self, request: &Request<Chat>) -> State<C::Future, B> {
        match self.dialect.encode(request) {
            Ok(encoded) => State::Calling {
                future: self.client.call(encoded),
            },
            Err(error) => State::Refused { error: Some(error) },
        }
    }
}

// Not derived: clones share the dialect, which need not be `Clone`.
impl<D, C: Clone> Clone for Provider<D, C> {
    fn clone(&self) -> Self {
        Self {
            dialect: Arc::clone(&self.dialect),
            client: self.client.clone(),
        }
    }
}

impl<D: Dialect, C> fmt::Debug for Provider<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("dialect", &self.dialect.provider())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Provider`].
    pub struct ResponseFuture<D, F, B> {
        #[pin]
        state: State<F, B>,
        dialect: Arc<D>,
        chat: Chat,
        continued: Option<Mode>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Refused { error: Option<ProviderError> },
        Calling { #[pin] future: F },
        // The head is taken when the body has been read as far as it will be.
        ReadingError { #[pin] body: B, head: Option<Parts>, read: BytesMut },
    }
}

impl<D, F, B, E> Future for ResponseFuture<D, F, B>
where
    D: Dialect,
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Decoded<B, D::Decoder>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Refused { error } => {
                    let error = error.take().expect("polled after completion");
                    return Poll::Ready(Err(error.into()));
                }
                StateProj::Calling { future } => {
                    let response = match ready!(future.poll(cx)) {
                        Ok(response) => response,
                        Err(error) => {
                            return Poll::Ready(Err(unreached(
                                this.dialect.provider(),
                                &*error.into(),
                            )));
                        }
                    };
                    let (head, body) = response.into_parts();
                    if head.status.is_success() {
                        let mut answer = answer(&**this.dialect, this.chat, &head, body);
                        if let (Ok(response), Some(mode)) = (&mut answer, *this.continued) {
                            response.extensions_mut().insert(Continued(mode));
                        }
                        return Poll::Ready(answer);
                    }
                    this.state.set(State::ReadingError {
                        body,
                        head: Some(head),
                        read: BytesMut::new(),
                    });
                }
                StateProj::ReadingError {
                    mut body,
                    head,
                    read,
                } => {
                    // A body that breaks off still leaves a status to classify.
                    while read.len() < ERROR_BODY {
                        let Some(Ok(frame)) = ready!(body.as_mut().poll_frame(cx)) else {
                            break;
                        };
                        if let Ok(mut data) = frame.into_data() {
                            let room = (ERROR_BODY - read.len()).min(data.remaining());
                            read.extend_from_slice(&data.copy_to_bytes(room));
                        }
                    }
                    let head = head.take().expect("polled after completion");
                    let answer = Response::from_parts(head, read.split().freeze());
                    return Poll::Ready(Err(this.dialect.failure(&answer).into()));
                }
            }
        }
    }
}

fn answer<D: Dialect, B>(
    dialect: &D,
    chat: &Chat,
    head: &Parts,
    body: B,
) -> Result<Response<Decoded<B, D::Decoder>>, BoxError> {
    let status = head.status;
    let decoder = dialect
        .decoder(chat, head)
        .map_err(|error| error.answered(status))?;
    let mut response = Response::new(Decoded::new(body, decoder, dialect.provider(), status));
    *response.status_mut() = status;
    for (name, value) in &head.headers {
        if RATE_LIMITS
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
        {
            response.headers_mut().append(name, value.clone());
        }
    }
    if let Some(id) = dialect.request_id(head) {
        response.extensions_mut().insert(UpstreamId(id));
    }
    Ok(response)
}

fn unreached(provider: &'static str, error: &(dyn std::error::Error + 'static)) -> BoxError {
    match failure_of(error) {
        Some(failure) => ProviderError::new(provider, failure.clone()).into(),
        None => ProviderError::network(provider, Reach::Sent).into(),
    }
}

impl<D: Dialect, F, B> fmt::Debug for ResponseFuture<D, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("dialect", &self.dialect.provider())
            .finish_non_exhaustive()
    }
}
