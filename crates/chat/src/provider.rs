//! A provider as a service: a [`Dialect`] over any HTTP client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
/// # Going on
///
/// A request with [`Continue`] in its extensions is asked in the most exact way that both sides allow. If the model
/// refuses a prefill, it is asked once more at once, in the next best way; from then on the provider is not asked
/// by a prefill again.
///
/// # Cancel safety
///
/// Dropping the future or the body drops the client's: the upstream request is cancelled.
pub struct Provider<D, C> {
    shared: Arc<Shared<D>>,
    client: C,
}

/// What clones of a provider, and its futures, have in common.
struct Shared<D> {
    dialect: D,
    /// The model has refused a prefill, whatever the dialect thinks of it.
    refuses_prefill: AtomicBool,
}

impl<D: Dialect, C> Provider<D, C> {
    /// Asks in `dialect` through `client`.
    pub fn new(dialect: D, client: C) -> Self {
        Self {
            shared: Arc::new(Shared {
                dialect,
                refuses_prefill: AtomicBool::new(false),
            }),
            client,
        }
    }

    /// The dialect.
    pub fn dialect(&self) -> &D {
        &self.shared.dialect
    }
}

impl<D, C, B> Service<Request<Chat>> for Provider<D, C>
where
    D: Dialect,
    C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    C::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<Decoded<B, D::Decoder>>;
    type Error = BoxError;
    type Future = ResponseFuture<D, C, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.client.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Chat>) -> Self::Future {
        let mut again = None;
        let (state, continued) = match self.shared.go_on(&request) {
            Ok(None) => (self.ask(&request), None),
            Ok(Some((chat, mode))) => {
                if matches!(mode, Mode::Prefill { .. }) {
                    again = Some(Box::new(Again {
                        client: self.client.clone(),
                        request: request.clone(),
                    }));
                }
                *request.body_mut() = chat;
                (self.ask(&request), Some(mode))
            }
            Err(error) => (State::Refused { error: Some(error) }, None),
        };
        ResponseFuture {
            state,
            shared: Arc::clone(&self.shared),
            chat: request.into_body(),
            continued,
            again,
        }
    }
}

impl<D: Dialect> Shared<D> {
    /// The request for the rest of an answer, if `request` goes on with one, and how it asks.
    fn go_on(&self, request: &Request<Chat>) -> Result<Option<(Chat, Mode)>, ProviderError> {
        let Some(go_on) = request.extensions().get::<Continue>() else {
            return Ok(None);
        };
        let (dialect, chat) = (&self.dialect, request.body());
        let model = dialect.target_model(chat);
        let prefill = dialect
            .prefill(chat)
            .filter(|_| !self.refuses_prefill.load(Ordering::Relaxed));
        let trail = Trail::of(request.extensions());
        go_on
            .apply(chat, dialect.provider(), model, prefill, trail)
            .map(Some)
    }

    /// Changes `request`, whose prefill was refused by this `error`, to ask in another way.
    fn go_on_without_prefill(
        &self,
        request: &mut Request<Chat>,
        error: ProviderError,
    ) -> Result<Mode, ProviderError> {
        self.refuses_prefill.store(true, Ordering::Relaxed);
        let (extensions, chat) = (request.extensions(), request.body());
        let Some(go_on) = extensions.get::<Continue>() else {
            return Err(error);
        };
        let model = self.dialect.target_model(chat);
        let (chat, mode) = go_on.without_prefill(chat, model, error, Trail::of(extensions))?;
        *request.body_mut() = chat;
        Ok(mode)
    }
}

impl<D, C> Provider<D, C>
where
    D: Dialect,
    C: Service<Request<Full<Bytes>>>,
{
    fn ask<B>(&mut self, request: &Request<Chat>) -> State<C, B> {
        match self.shared.dialect.encode(request) {
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
            shared: Arc::clone(&self.shared),
            client: self.client.clone(),
        }
    }
}

impl<D: Dialect, C> fmt::Debug for Provider<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("dialect", &self.shared.dialect.provider())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Provider`].
    pub struct ResponseFuture<D, C, B>
    where
        C: Service<Request<Full<Bytes>>>,
    {
        #[pin]
        state: State<C, B>,
        shared: Arc<Shared<D>>,
        chat: Chat,
        continued: Option<Mode>,
        // There while a prefill is being asked for, which the model may refuse.
        again: Option<Box<Again<C>>>,
    }
}

/// What it takes to ask once more.
struct Again<C> {
    client: C,
    /// As it came.
    request: Request<Chat>,
}

pin_project! {
    #[project = StateProj]
    enum State<C, B>
    where
        C: Service<Request<Full<Bytes>>>,
    {
        Refused { error: Option<ProviderError> },
        Calling { #[pin] future: C::Future },
        // The head is taken when the body has been read as far as it will be.
        ReadingError { #[pin] body: B, head: Option<Parts>, read: BytesMut },
        Readying { client: C, encoded: Option<Request<Full<Bytes>>> },
    }
}

impl<D, C, B> Future for ResponseFuture<D, C, B>
where
    D: Dialect,
    C: Service<Request<Full<Bytes>>, Response = Response<B>>,
    C::Error: Into<BoxError>,
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
                                this.shared.dialect.provider(),
                                &*error.into(),
                            )));
                        }
                    };
                    let (head, body) = response.into_parts();
                    if head.status.is_success() {
                        let mut answer = answer(&this.shared.dialect, this.chat, head, body);
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
                    let dialect = &this.shared.dialect;
                    let error = dialect.failure(&answer);
                    let again = this.again.take().filter(|_| error.refuses_prefill());
                    let Some(again) = again else {
                        return Poll::Ready(Err(error.into()));
                    };
                    let Again {
                        client,
                        mut request,
                    } = *again;
                    let mode = this.shared.go_on_without_prefill(&mut request, error)?;
                    *this.continued = Some(mode);
                    let encoded = Some(dialect.encode(&request)?);
                    *this.chat = request.into_body();
                    this.state.set(State::Readying { client, encoded });
                }
                StateProj::Readying { client, encoded } => {
                    let unreached =
                        |error: C::Error| unreached(this.shared.dialect.provider(), &*error.into());
                    ready!(client.poll_ready(cx)).map_err(unreached)?;
                    let future = client.call(encoded.take().expect("called once"));
                    this.state.set(State::Calling { future });
                }
            }
        }
    }
}

fn answer<D: Dialect, B>(
    dialect: &D,
    chat: &Chat,
    mut head: Parts,
    body: B,
) -> Result<Response<Decoded<B, D::Decoder>>, BoxError> {
    let status = head.status;
    let decoder = dialect
        .decoder(chat, &head)
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
    if let Some(id) = dialect.request_id(&head) {
        // The client's own are of no use above, but their memory is.
        head.extensions.clear();
        head.extensions.insert(UpstreamId(id));
        *response.extensions_mut() = head.extensions;
    }
    Ok(response)
}

fn unreached(provider: &'static str, error: &(dyn std::error::Error + 'static)) -> BoxError {
    match failure_of(error) {
        Some(failure) => ProviderError::new(provider, failure.clone()).into(),
        None => ProviderError::network(provider, Reach::Sent).into(),
    }
}

impl<D: Dialect, C, B> fmt::Debug for ResponseFuture<D, C, B>
where
    C: Service<Request<Full<Bytes>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("dialect", &self.shared.dialect.provider())
            .finish_non_exhaustive()
    }
}
