//! The head of an answer.

use backstop_core::{Deployment, Trail, UpstreamId};
use bytes::BytesMut;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, response};

use crate::layer::Options;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-backstop-request-id");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-backstop-attempts");
const RETRIES: HeaderName = HeaderName::from_static("x-backstop-retries");
const FALLBACKS: HeaderName = HeaderName::from_static("x-backstop-fallbacks");
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-backstop-deployment");
const PROVIDER: HeaderName = HeaderName::from_static("x-backstop-provider");
const MODEL: HeaderName = HeaderName::from_static("x-backstop-model");
const REGION: HeaderName = HeaderName::from_static("x-backstop-region");
const UPSTREAM_ID: HeaderName = HeaderName::from_static("x-backstop-upstream-request-id");
// The same facts under the names that LiteLLM's users read.
const LITELLM_MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const LITELLM_MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const LITELLM_CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const LITELLM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const LITELLM_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const LITELLM_FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");

/// What passes of the upstream's own headers.
const ALLOWED: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

pub(crate) fn head(
    upstream: &response::Parts,
    options: &Options,
    trail: &Trail,
    stream: bool,
) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = upstream.status;
    let headers = response.headers_mut();
    headers.reserve(19);
    let content_type = if stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if stream {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    for (name, value) in &upstream.headers {
        if ALLOWED
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
        {
            headers.append(name, value.clone());
        }
    }
    let mut values = Values::new();
    counted(headers, trail, &mut values);
    // Of a stream, nobody knows yet.
    if !stream {
        cost(headers, trail, &mut values);
    }
    if options.expose_served_by {
        if let Some(deployment) = trail.last_asked() {
            served_by(headers, &deployment, &mut values);
        }
        if let Some(UpstreamId(id)) = upstream.extensions.get() {
            values.insert(headers, [UPSTREAM_ID], id);
        }
    }
    response
}

/// Which request this was and what it took: on every response.
pub(crate) fn counts(headers: &mut HeaderMap, trail: &Trail) {
    let mut values = Values::new();
    counted(headers, trail, &mut values);
    cost(headers, trail, &mut values);
}

/// What all attempts have cost, in dollars.
fn cost(headers: &mut HeaderMap, trail: &Trail, values: &mut Values) {
    if let Some(cost) = trail.cost() {
        values.insert(headers, [LITELLM_COST], &cost.to_string());
    }
}

fn counted(headers: &mut HeaderMap, trail: &Trail, values: &mut Values) {
    values.insert(headers, [REQUEST_ID, LITELLM_CALL_ID], trail.id());
    if let Some(model) = trail.model() {
        values.insert(headers, [LITELLM_MODEL_GROUP], &model);
    }
    headers.insert(ATTEMPTS, number(trail.attempts()));
    let (retries, fallbacks) = (trail.retries() as usize, trail.fallbacks() as usize);
    headers.insert(RETRIES, number(retries));
    headers.insert(LITELLM_RETRIES, number(retries));
    headers.insert(FALLBACKS, number(fallbacks));
    headers.insert(LITELLM_FALLBACKS, number(fallbacks));
}

fn served_by(headers: &mut HeaderMap, deployment: &Deployment, values: &mut Values) {
    values.insert(headers, [DEPLOYMENT, LITELLM_MODEL_ID], deployment.id());
    values.insert(headers, [PROVIDER], deployment.provider());
    values.insert(headers, [MODEL], deployment.model());
    if let Some(region) = deployment.region() {
        values.insert(headers, [REGION], region);
    }
}

/// The texts of one response's headers, in one piece of memory.
struct Values(BytesMut);

impl Values {
    fn new() -> Self {
        // More than the texts of most responses.
        Self(BytesMut::with_capacity(256))
    }

    /// Leaves a text out that HTTP does not allow: a model may be named in any script.
    fn insert<const N: usize>(
        &mut self,
        headers: &mut HeaderMap,
        names: [HeaderName; N],
        text: &str,
    ) {
        if !text.is_ascii() {
            return;
        }
        self.0.extend_from_slice(text.as_bytes());
        if let Ok(value) = HeaderValue::from_maybe_shared(self.0.split().freeze()) {
            for name in names {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// A count; the usual ones are written already.
fn number(count: usize) -> HeaderValue {
    const USUAL: [&str; 4] = ["0", "1", "2", "3"];
    match USUAL.get(count) {
        Some(count) => HeaderValue::from_static(count),
        None => HeaderValue::from(count),
    }
}
