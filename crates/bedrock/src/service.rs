use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::UNIX_EPOCH;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::StalledStreamProtectionConfig;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::operation::RequestId;
use backstop_chat::{Chat, Continue, Continued, Mode, Prefill, ProviderError};
use backstop_core::{BoxError, Trail, UpstreamId, wall};
use http::{Request, Response, StatusCode};
use tower_service::Service;

use crate::PROVIDER;
use crate::answer::{self, Head, Reader};
use crate::body::ConverseBody;
use crate::encode::Call;
use crate::failures;
use crate::guard::Guard;
use crate::models::{self, Rules};

/// A model of AWS Bedrock, asked by Converse or ConverseStream.
///
/// It is always ready, and cheap to clone. See the [crate's documentation](crate) for what is translated.
///
/// A request with [`Continue`] in its extensions is asked in the most exact way that both sides allow. If the model
/// refuses a prefill, it is asked once more at once, in the next best way; from then on this `Bedrock` and its clones
/// do not ask by a prefill again.
///
/// # Errors
///
/// A [`ProviderError`](backstop_chat::ProviderError), boxed, with a [`Failure`](backstop_core::Failure) in its
/// source chain; or [`InvalidChat`](backstop_chat::InvalidChat).
///
/// # Cancel safety
///
/// Dropping the future or the body drops the SDK's: the connection is closed, and Bedrock sees it.
#[derive(Clone)]
pub struct Bedrock {
    client: Client,
    model: Arc<str>,
    rules: Rules,
    /// The model has refused a prefill, whatever its rules say.
    refuses_prefill: Arc<AtomicBool>,
}

impl Bedrock {
    /// Asks `model` (a model id, an inference profile or an ARN of either) through `client`.
    ///
    /// The client's retries and its stalled-stream protection are turned off: Backstop's layers decide on both, and
    /// the protection would end a stream whose model thinks for long without a word. All else is the client's own.
    #[must_use]
    pub fn new(client: &Client, model: impl Into<Arc<str>>) -> Self {
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(Guard)
            .build();
        let model = model.into();
        Self {
            client: Client::from_conf(config),
            rules: models::rules(&model),
            model,
            refuses_prefill: Arc::default(),
        }
    }

    /// Says which model stands behind an id that hides it, such as the ARN of an application inference profile.
    ///
    /// What a model takes is known by its id: an unknown one is taken to accept everything but a prefill.
    #[must_use]
    pub fn base_model(mut self, id: &str) -> Self {
        self.rules = models::rules(id);
        self
    }

    /// Whether the model goes on with an assistant's message that is not finished.
    #[must_use]
    pub fn takes_prefill(&self) -> bool {
        self.rules.prefill
    }

    /// The model's id.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }
}

impl Service<Request<Chat>> for Bedrock {
    type Response = Response<ConverseBody>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Chat>) -> ResponseFuture {
        let asked = self.clone();
        ResponseFuture(Box::pin(async move { asked.ask(&request).await }))
    }
}

/// Converse and ConverseStream take the same parts, but by builders of two types.
macro_rules! with_parts {
    ($operation:expr, $model:expr, $call:expr) => {
        $operation
            .model_id(&*$model)
            .set_messages(Some($call.messages))
            .set_system((!$call.system.is_empty()).then_some($call.system))
            .set_inference_config($call.inference)
            .set_tool_config($call.tools)
            .set_output_config($call.output)
            .set_additional_model_request_fields($call.additional)
            .set_request_metadata($call.metadata)
    };
}

impl Bedrock {
    async fn ask(&self, request: &Request<Chat>) -> Result<Response<ConverseBody>, BoxError> {
        let (chat, extensions) = (request.body(), request.extensions());
        let trail = Trail::of(extensions);
        let Some(go_on) = extensions.get::<Continue>() else {
            return self.send(chat, trail).await;
        };
        let prefills = self.rules.prefill && !self.refuses_prefill.load(Ordering::Relaxed);
        let prefill = prefills.then(Prefill::default);
        let (asked, mut mode) = go_on.apply(chat, PROVIDER, &self.model, prefill, trail)?;
        let mut answered = self.send(&asked, trail).await;
        if matches!(mode, Mode::Prefill { .. })
            && let Some(error) = refusal(&answered)
        {
            self.refuses_prefill.store(true, Ordering::Relaxed);
            let asked;
            (asked, mode) = go_on.without_prefill(chat, &self.model, error, trail)?;
            answered = self.send(&asked, trail).await;
        }
        if let Ok(response) = &mut answered {
            response.extensions_mut().insert(Continued(mode));
        }
        answered
    }

    async fn send(
        &self,
        chat: &Chat,
        trail: Option<&Trail>,
    ) -> Result<Response<ConverseBody>, BoxError> {
        let call = Call::read(chat, self.rules)?;
        if let Some(trail) = trail {
            for note in &call.notes {
                trail.note(*note);
            }
        }
        let own_id =
            || trail.map_or_else(|| Trail::start().id().to_string(), |it| it.id().to_string());
        if chat.stream() {
            self.stream(chat, call, own_id).await
        } else {
            self.whole(call, own_id).await
        }
    }

    async fn whole(
        &self,
        call: Call,
        own_id: impl Fn() -> String,
    ) -> Result<Response<ConverseBody>, BoxError> {
        let sent = with_parts!(self.client.converse(), self.model, call);
        let output = sent
            .send()
            .await
            .map_err(|error| failures::of_call(&error))?;
        let id = output.request_id();
        let chunk = answer::whole(&self.head(id, own_id), &output)
            .map_err(|error| error.answered(StatusCode::OK))?;
        Ok(respond(id, ConverseBody::whole(chunk)))
    }

    async fn stream(
        &self,
        chat: &Chat,
        call: Call,
        own_id: impl Fn() -> String,
    ) -> Result<Response<ConverseBody>, BoxError> {
        let sent = with_parts!(self.client.converse_stream(), self.model, call);
        let output = sent
            .send()
            .await
            .map_err(|error| failures::of_call(&error))?;
        let id = output.request_id().map(str::to_owned);
        let reader = Reader::new(&self.head(id.as_deref(), own_id), chat.include_usage());
        let body = ConverseBody::streamed(output.stream, reader, id.as_deref());
        Ok(respond(id.as_deref(), body))
    }

    fn head(&self, id: Option<&str>, own_id: impl Fn() -> String) -> Head {
        let created = wall::now().duration_since(UNIX_EPOCH);
        Head {
            id: id.map_or_else(own_id, str::to_owned),
            model: self.model.to_string(),
            created: created.map_or(0, |since| since.as_secs()),
        }
    }
}

/// The error of an answer, if it refuses a prefill.
fn refusal<T>(answered: &Result<T, BoxError>) -> Option<ProviderError> {
    let error = answered.as_ref().err()?.downcast_ref::<ProviderError>()?;
    error.refuses_prefill().then(|| error.clone())
}

fn respond(id: Option<&str>, body: ConverseBody) -> Response<ConverseBody> {
    let mut response = Response::new(body);
    if let Some(id) = id {
        response.extensions_mut().insert(UpstreamId(id.into()));
    }
    response
}

/// Never shows the client: its configuration is the operator's.
impl fmt::Debug for Bedrock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bedrock")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// The future of [`Bedrock`].
pub struct ResponseFuture(
    // The SDK's futures have no names, so one box holds all of a call.
    Pin<Box<dyn Future<Output = Result<Response<ConverseBody>, BoxError>> + Send>>,
);

impl Future for ResponseFuture {
    type Output = Result<Response<ConverseBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
