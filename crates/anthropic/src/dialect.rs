use std::fmt;
use std::sync::Arc;

use backstop_chat::{Chat, Dialect, InvalidBaseUrl, Prefill, ProviderError, endpoint};
use backstop_core::{Failure, FailureKind, Reach, Trail};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use secrecy::SecretString;

use crate::key::Key;
use crate::models::rules;
use crate::{Decoder, PROVIDER, classify, encode};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Anthropic's messages API, as a [`Dialect`]: requests and answers are translated. See the [crate docs](crate).
///
/// What Anthropic, or this model, does not take is left out with a note in the request's [`Trail`]; what cannot be
/// left out makes it [incapable](ProviderError::incapable) of the request.
#[derive(Clone)]
pub struct Anthropic {
    endpoint: Uri,
    key: Key,
    beta: Option<HeaderValue>,
    model: Option<Box<str>>,
    inference_geo: Option<Box<str>>,
}

impl Anthropic {
    /// Anthropic's own server, asked with this key.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever hands over a key keeps none"
    )]
    pub fn new(key: SecretString) -> Self {
        Self {
            endpoint: Uri::from_static("https://api.anthropic.com/v1/messages"),
            key: Key::new(&key),
            beta: None,
            model: None,
            inference_geo: None,
        }
    }

    /// Where the server answers, up to `/v1/messages`: `https://api.anthropic.com`, with or without `/v1`.
    ///
    /// # Errors
    ///
    /// If it is not an absolute `http` or `https` URL.
    pub fn base_url(mut self, base: &Uri) -> Result<Self, InvalidBaseUrl> {
        let versioned = base.path().trim_end_matches('/').ends_with("/v1");
        let path = if versioned { "messages" } else { "v1/messages" };
        self.endpoint = endpoint(base, path)?;
        Ok(self)
    }

    /// The model to ask, whatever the request names. Without it the request's own name goes on.
    #[must_use]
    pub fn model(mut self, model: impl Into<Box<str>>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Whether the model goes on with an assistant's message that is not finished: Claude up to 4.5 does.
    #[must_use]
    pub fn takes_prefill(&self) -> bool {
        self.model
            .as_deref()
            .is_some_and(|model| rules(model).prefill)
    }

    /// Where the request may be processed: `us`, or `global`. Without it the workspace decides. Models before Claude
    /// 4.6 refuse it.
    #[must_use]
    pub fn inference_geo(mut self, geo: impl Into<Box<str>>) -> Self {
        self.inference_geo = Some(geo.into());
        self
    }

    /// Features to switch on, comma-separated, as `anthropic-beta` names them. Anything that no header can carry is
    /// left out.
    #[must_use]
    pub fn beta(mut self, features: &str) -> Self {
        self.beta = HeaderValue::from_str(features).ok();
        self
    }
}

impl Dialect for Anthropic {
    type Decoder = Decoder;

    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn encode(&self, request: &Request<Chat>) -> Result<Request<Full<Bytes>>, ProviderError> {
        let Some(key) = self.key.header() else {
            let failure = Failure::new(FailureKind::Auth)
                .with_reach(Reach::Refused)
                .with_detail("the key has characters that no header can carry");
            return Err(ProviderError::new(PROVIDER, failure));
        };
        let chat = request.body();
        let model = self.target_model(chat);
        let trail = Trail::of(request.extensions());
        let body = encode::body(chat, model, self.inference_geo.as_deref(), |note| {
            if let Some(trail) = trail {
                trail.note(note);
            }
        })?;

        let mut encoded = Request::post(self.endpoint.clone())
            .body(Full::new(body.into()))
            .expect("a method and a URI are a request");
        let headers = encoded.headers_mut();
        headers.insert("x-api-key", key.clone());
        headers.insert("anthropic-version", VERSION);
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, if chat.stream() { EVENTS } else { JSON });
        if let Some(beta) = &self.beta {
            headers.insert("anthropic-beta", beta.clone());
        }
        Ok(encoded)
    }

    fn target_model<'a>(&'a self, chat: &'a Chat) -> &'a str {
        self.model.as_deref().unwrap_or(chat.model())
    }

    fn prefill(&self, chat: &Chat) -> Option<Prefill> {
        rules(self.target_model(chat))
            .prefill
            .then(Prefill::default)
    }

    fn decoder(&self, chat: &Chat, head: &Parts) -> Result<Decoder, ProviderError> {
        Decoder::new(chat, head, self.key.clone())
    }

    fn failure(&self, answer: &Response<Bytes>) -> ProviderError {
        self.key.hide(classify::answer(answer))
    }

    fn request_id(&self, head: &Parts) -> Option<Arc<str>> {
        classify::request_id(&head.headers)
    }
}

/// Shows neither the key nor the query of the URL.
impl fmt::Debug for Anthropic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anthropic")
            .field("host", &self.endpoint.host())
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
