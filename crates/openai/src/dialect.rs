use std::fmt;
use std::sync::Arc;

use backstop_chat::{Chat, Dialect, InvalidBaseUrl, Prefill, ProviderError, endpoint};
use backstop_core::{Failure, FailureKind, Reach, Trail};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::key::Key;
use crate::server::Profile;
use crate::{Decoder, Server, classify, rules};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const COMPLETIONS: &str = "chat/completions";

/// OpenAI's chat completions, as a [`Dialect`]: a request goes on byte for byte as it came, but for the model's
/// name and what that model does not take. See the [crate docs](crate) for an example.
///
/// Every change beyond the model's name is noted in the request's [`Trail`].
#[derive(Clone)]
pub struct OpenAi {
    server: &'static Profile,
    name: &'static str,
    endpoint: Option<Uri>,
    key: Key,
    organization: Option<HeaderValue>,
    project: Option<HeaderValue>,
    model: Option<Box<str>>,
    ask_usage: bool,
}

impl OpenAi {
    /// OpenAI's own server, asked with this key.
    #[must_use]
    pub fn new(key: SecretString) -> Self {
        Self::at(Server::OpenAi, Some(key))
    }

    /// A compatible server that wants no key, at [`base_url`](Self::base_url).
    #[must_use]
    pub fn keyless() -> Self {
        Self::at(Server::Compatible, None)
    }

    /// This server, with or without a key. Where it answers is known for some ([`Server::base_url`]), and set
    /// with [`base_url`](Self::base_url) for the others.
    #[must_use]
    pub fn at(server: Server, key: Option<SecretString>) -> Self {
        let profile = server.profile();
        let base = profile.base.map(Uri::from_static);
        Self {
            server: profile,
            name: profile.name,
            endpoint: base.and_then(|base| completions(&base).ok()),
            key: key.map_or(Key::None, |key| Key::new(profile, &key)),
            organization: None,
            project: None,
            model: None,
            ask_usage: profile.ask_usage,
        }
    }

    /// Where the server answers, up to `/chat/completions`: `https://eu.api.openai.com/v1`. A query is kept.
    ///
    /// # Errors
    ///
    /// If it is not an absolute `http` or `https` URL.
    pub fn base_url(mut self, base: &Uri) -> Result<Self, InvalidBaseUrl> {
        self.endpoint = Some(completions(base)?);
        Ok(self)
    }

    /// The model to ask, whatever the request names. Without it the request's own name goes on.
    #[must_use]
    pub fn model(mut self, model: impl Into<Box<str>>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// The organisation that pays, by its id. Anything that no header can carry is left out.
    #[must_use]
    pub fn organization(mut self, id: &str) -> Self {
        self.organization = HeaderValue::from_str(id).ok();
        self
    }

    /// The project that pays, by its id. Anything that no header can carry is left out.
    #[must_use]
    pub fn project(mut self, id: &str) -> Self {
        self.project = HeaderValue::from_str(id).ok();
        self
    }

    /// The name of the server in errors and records, instead of [`Server::name`].
    #[must_use]
    pub const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Whether streams are asked to end with their usage, so that records have it and budgets are charged no more, when
    /// the caller did not ask: the caller is not shown it. On for most servers; some refuse the member.
    #[must_use]
    pub const fn ask_usage(mut self, ask: bool) -> Self {
        self.ask_usage = ask;
        self
    }

    /// Whether it goes on with an assistant's message that is not finished.
    #[must_use]
    pub fn takes_prefill(&self) -> bool {
        self.prefill().is_some()
    }

    fn prefill(&self) -> Option<Prefill> {
        let base = self.endpoint.as_ref()?.path().strip_suffix(COMPLETIONS)?;
        let base = base.trim_end_matches('/');
        self.server
            .prefill
            .filter(|_| base.ends_with(self.server.prefill_at))
    }

    /// Whether usage is asked for that the caller did not ask for.
    fn adds_usage(&self, chat: &Chat) -> bool {
        self.ask_usage && chat.stream() && !chat.include_usage()
    }
}

/// These options of a stream, and that its usage is told.
fn with_usage(options: Option<&str>) -> String {
    // What is no object was refused when the request was read.
    let options = options.and_then(|options| serde_json::from_str(options).ok());
    let mut options: Map<String, Value> = options.unwrap_or_default();
    options.insert("include_usage".to_owned(), Value::Bool(true));
    Value::Object(options).to_string()
}

impl Dialect for OpenAi {
    type Decoder = Decoder;

    fn provider(&self) -> &'static str {
        self.name
    }

    fn encode(&self, request: &Request<Chat>) -> Result<Request<Full<Bytes>>, ProviderError> {
        let chat = request.body();
        let trail = Trail::of(request.extensions());
        let Some(endpoint) = &self.endpoint else {
            return Err(ProviderError::incapable(self.name, "it has no base URL"));
        };
        if chat.needs().several && !self.server.several {
            return Err(ProviderError::incapable(
                self.name,
                "it answers with one choice only",
            ));
        }
        if chat.needs().image_urls && !self.server.image_urls {
            return Err(ProviderError::incapable(
                self.name,
                "it takes images only inline",
            ));
        }

        let mut edit = chat.edit();
        let model = match self.model.as_deref() {
            Some(model) => {
                if model != chat.model() {
                    edit = edit.set_model(model);
                }
                model
            }
            None => chat.model(),
        };
        edit = rules::apply(edit, chat, self.server, model, |note| {
            if let Some(trail) = trail {
                trail.note(note);
            }
        });
        if self.adds_usage(chat) {
            edit = edit.set("stream_options", with_usage(chat.member("stream_options")));
        }

        let mut encoded = Request::new(Full::new(edit.finish()));
        *encoded.method_mut() = Method::POST;
        *encoded.uri_mut() = endpoint.clone();
        let headers = encoded.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, if chat.stream() { EVENTS } else { JSON });
        match &self.key {
            Key::None => {}
            Key::Bearer(value) => drop(headers.insert(AUTHORIZATION, value.clone())),
            Key::Header(name, value) => drop(headers.insert(name, value.clone())),
            Key::Unusable => {
                let failure = Failure::new(FailureKind::Auth)
                    .with_reach(Reach::Refused)
                    .with_detail("the key has characters that no header can carry");
                return Err(ProviderError::new(self.name, failure));
            }
        }
        for (name, value) in [
            ("openai-organization", &self.organization),
            ("openai-project", &self.project),
        ] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        Ok(encoded)
    }

    fn target_model<'a>(&'a self, chat: &'a Chat) -> &'a str {
        self.model.as_deref().unwrap_or(chat.model())
    }

    fn prefill(&self, _: &Chat) -> Option<Prefill> {
        self.prefill()
    }

    fn decoder(&self, chat: &Chat, head: &Parts) -> Result<Decoder, ProviderError> {
        let hide_usage = self.adds_usage(chat);
        Decoder::new(self.name, chat, head, hide_usage, self.key.clone())
    }

    fn failure(&self, answer: &Response<Bytes>) -> ProviderError {
        self.key.hide(classify::answer(self.name, answer))
    }

    fn request_id(&self, head: &Parts) -> Option<Arc<str>> {
        classify::request_id(&head.headers)
    }
}

/// Shows neither the key nor the query of the URL, in which some servers want one.
impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("provider", &self.name)
            .field("host", &self.endpoint.as_ref().and_then(Uri::host))
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

fn completions(base: &Uri) -> Result<Uri, InvalidBaseUrl> {
    endpoint(base, COMPLETIONS)
}
