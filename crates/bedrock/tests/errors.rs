//! Calls that fail, over a socket: what they mean, and what they must not tell.

mod support;

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use backstop_bedrock::{Bedrock, Client, Settings};
use backstop_chat::ProviderError;
use backstop_core::{BoxError, FailureKind, Ineligible, Reach};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use support::{CLAUDE, KEY, Reply, SECRET, Server, TOKEN, ask, chat, failure};
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn errors_by_name_then_text_then_status() {
    use FailureKind::*;
    let context = "Input is too long for requested model.";
    let server = Server::start(Reply::json(200, &json!({}))).await;
    let bedrock = server.bedrock(CLAUDE).await;
    let errors = [
        (
            429,
            "ThrottlingException",
            "Too many tokens, please wait before trying again.",
            RateLimit,
        ),
        (
            429,
            "ThrottlingException",
            "Too many tokens per day, please wait before trying again.",
            QuotaExhausted,
        ),
        (429, "ThrottlingException", context, RateLimit),
        (400, "ThrottlingException", "Too many requests", RateLimit),
        (400, "ServiceQuotaExceededException", "x", QuotaExhausted),
        (429, "ModelNotReadyException", "x", Overloaded),
        (503, "ServiceUnavailableException", "x", Overloaded),
        (500, "InternalServerException", "x", ServerError),
        (408, "ModelTimeoutException", "x", Timeout),
        (400, "ValidationException", context, ContextWindow),
        (
            400,
            "ValidationException",
            "The model returned the following errors: prompt is too long: 9 tokens > 8 maximum",
            ContextWindow,
        ),
        (
            400,
            "ValidationException",
            "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
            ContextWindow,
        ),
        (
            400,
            "ValidationException",
            "expected maxLength: 2048, actual: 4000",
            ContextWindow,
        ),
        (
            400,
            "ValidationException",
            "input length and `max_tokens` exceed context limit: 9 + 9 > 10",
            ContextWindow,
        ),
        (
            400,
            "ValidationException",
            "The provided model identifier is invalid.",
            ModelNotFound,
        ),
        (
            400,
            "ValidationException",
            "Invocation of model ID x with on-demand throughput isn’t supported.",
            ModelNotFound,
        ),
        (
            400,
            "ValidationException",
            "Output blocked by content filtering policy",
            ContentFilter,
        ),
        (
            400,
            "ValidationException",
            "This model doesn’t support tool use.",
            Ineligible(backstop_core::Ineligible::Capability),
        ),
        (
            400,
            "ValidationException",
            "output_config.format: Extra inputs are not permitted",
            Ineligible(backstop_core::Ineligible::Capability),
        ),
        (400, "ValidationException", "something else", BadRequest),
        // What must not be taken for a prompt that is too long.
        (
            400,
            "ValidationException",
            "string_above_max_length: Invalid 'user': string too long",
            BadRequest,
        ),
        (
            400,
            "ValidationException",
            "max_tokens is too large: 9",
            BadRequest,
        ),
        (
            400,
            "ValidationException",
            "Too many tokens per day",
            QuotaExhausted,
        ),
        (
            400,
            "ValidationException",
            "Too many tokens per minute",
            RateLimit,
        ),
        (413, "", context, BadRequest),
        (429, "", context, RateLimit),
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            Permission,
        ),
        (
            403,
            "AccessDeniedException",
            "The security token included in the request is expired",
            Auth,
        ),
        (
            403,
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
            Auth,
        ),
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            Auth,
        ),
        (403, "ExpiredTokenException", "x", Auth),
        (403, "InvalidSignatureException", "x", Auth),
        (
            404,
            "ResourceNotFoundException",
            "Could not resolve the foundation model",
            ModelNotFound,
        ),
        (
            404,
            "ResourceNotFoundException",
            "Access denied. This Model is marked by provider as Legacy",
            Permission,
        ),
        (401, "", "", Auth),
        (403, "", "", Permission),
        (404, "", "", ModelNotFound),
        (500, "", "", ServerError),
        (503, "", "", Overloaded),
        (504, "", "", Timeout),
        (529, "", "", Overloaded),
        (418, "SomethingNewException", "x", BadRequest),
        (500, "SomethingNewException", "x", ServerError),
    ];
    for (status, name, message, kind) in errors {
        server.tell(Reply::error(status, name, message));
        for stream in [false, true] {
            let error = ask(&bedrock, chat(json!({"stream": stream}))).await;
            let failed = failure(&error.expect_err("an error"));
            assert_eq!(failed.kind(), kind, "{status} {name} {message}");
            assert_eq!(failed.status().map(|it| it.as_u16()), Some(status));
            assert_eq!(failed.reach(), Reach::Sent);
            assert_eq!(failed.request_id().map(|id| &**id), Some("request-1"));
        }
    }
    assert_eq!(
        server.asked().len(),
        2 * errors.len(),
        "nothing is asked twice"
    );
}

#[tokio::test]
async fn the_model_behind_bedrock_has_a_status_of_its_own() {
    let server = Server::start(Reply::json(200, &json!({}))).await;
    let bedrock = server.bedrock(CLAUDE).await;
    for (original, message, kind) in [
        (json!(429), "x", FailureKind::RateLimit),
        (json!(400), "x", FailureKind::BadRequest),
        (json!(400), "prompt is too long", FailureKind::ContextWindow),
        (json!(500), "prompt is too long", FailureKind::ServerError),
        (json!(504), "x", FailureKind::Timeout),
        (json!(null), "x", FailureKind::ServerError),
    ] {
        let body = json!({"message": message, "originalStatusCode": original});
        server.tell(Reply::json(424, &body).header("x-amzn-errortype", "ModelErrorException"));
        let error = ask(&bedrock, chat(json!({}))).await.expect_err("an error");
        assert_eq!(failure(&error).kind(), kind, "{original} {message}");
    }
}

#[tokio::test]
async fn the_servers_hint_is_in_milliseconds() {
    let throttled = || Reply::error(429, "ThrottlingException", "Too many requests");
    let server = Server::start(throttled().header("x-amz-retry-after", "1500")).await;
    let bedrock = server.bedrock(CLAUDE).await;
    let error = ask(&bedrock, chat(json!({}))).await.expect_err("an error");
    assert_eq!(
        failure(&error).retry_after(),
        Some(Duration::from_millis(1500))
    );
    server.tell(throttled().header("retry-after", "3"));
    let error = ask(&bedrock, chat(json!({}))).await.expect_err("an error");
    assert_eq!(failure(&error).retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(server.asked().len(), 2, "the SDK does not retry");
}

#[tokio::test]
async fn a_page_of_a_proxy_is_classified_by_its_status() {
    let mut page = Reply::json(502, &json!({}));
    page.pieces = vec![b"<html>Bad gateway</html>".to_vec()];
    let server = Server::start(page).await;
    let error = ask(&server.bedrock(CLAUDE).await, chat(json!({})))
        .await
        .expect_err("an error");
    assert_eq!(failure(&error).kind(), FailureKind::ServerError);
}

#[tokio::test]
async fn nobody_listens() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let url = format!("http://{}", socket.local_addr().expect("bound"));
    drop(socket);
    let aws = Settings::new()
        .region("us-east-1")
        .credentials(KEY, SECRET.into())
        .endpoint_url(url);
    let bedrock = Bedrock::new(&aws.client().await.expect("usable"), CLAUDE);
    for stream in [false, true] {
        let error = ask(&bedrock, chat(json!({"stream": stream})))
            .await
            .expect_err("refused");
        let failure = failure(&error);
        assert_eq!(
            (failure.kind(), failure.reach()),
            (FailureKind::Network, Reach::Unsent)
        );
        let why = failure.detail().expect("the reason");
        assert!(why.contains("Connection refused"), "{why}");
    }
}

#[tokio::test]
async fn hung_up_on_before_an_answer() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let url = format!("http://{}", socket.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let mut some = [0; 64];
            let _ = stream.read(&mut some).await;
        }
    });
    let aws = Settings::new()
        .region("us-east-1")
        .credentials(KEY, SECRET.into())
        .endpoint_url(url);
    let bedrock = Bedrock::new(&aws.client().await.expect("usable"), CLAUDE);
    let error = ask(&bedrock, chat(json!({}))).await.expect_err("no answer");
    let failure = failure(&error);
    assert_eq!(
        (failure.kind(), failure.reach()),
        (FailureKind::Network, Reach::Sent)
    );
}

#[tokio::test]
async fn a_dropped_call_hangs_up() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let url = format!("http://{}", socket.local_addr().expect("bound"));
    let aws = Settings::new()
        .region("us-east-1")
        .credentials(KEY, SECRET.into())
        .endpoint_url(url);
    let bedrock = Bedrock::new(&aws.client().await.expect("usable"), CLAUDE);
    let mut read = Vec::new();
    let mut stream = {
        let mut call = std::pin::pin!(ask(&bedrock, chat(json!({}))));
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = &mut call => unreachable!("nobody answers"),
        };
        let (mut stream, _) = accepted.expect("a connection");
        tokio::select! {
            count = stream.read_buf(&mut read) => assert!(count.expect("bytes") > 0),
            _ = &mut call => unreachable!("nobody answers"),
        }
        stream
    };
    stream
        .read_to_end(&mut read)
        .await
        .expect("the end of the connection");
}

#[tokio::test]
async fn no_credentials_are_an_auth_failure() {
    let server = Server::start(Reply::json(200, &json!({}))).await;
    let config = aws_sdk_bedrockruntime::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_bedrockruntime::config::Region::new("us-east-1"))
        .endpoint_url(&server.url)
        .http_client(backstop_bedrock::http_client());
    let nothing = Client::from_conf(config.clone().build());
    let unloaded = Client::from_conf(config.credentials_provider(Unloaded).build());
    for client in [nothing, unloaded] {
        let error = ask(&Bedrock::new(&client, CLAUDE), chat(json!({})))
            .await
            .expect_err("no key");
        let failure = failure(&error);
        assert_eq!(
            (failure.kind(), failure.reach()),
            (FailureKind::Auth, Reach::Unsent)
        );
        assert_eq!(failure.detail(), Some("no AWS credentials found"));
    }
    assert!(server.asked().is_empty());
}

#[derive(Debug)]
struct Unloaded;

impl aws_credential_types::provider::ProvideCredentials for Unloaded {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::{error::CredentialsError, future::ProvideCredentials};
        ProvideCredentials::ready(Err(CredentialsError::not_loaded("there are none")))
    }
}

#[tokio::test]
async fn settings_that_cannot_work() {
    let wrong = Settings::new()
        .region("us-east-1")
        .endpoint_url("bedrock.internal")
        .client()
        .await;
    assert_eq!(
        wrong.expect_err("no scheme").to_string(),
        "the Bedrock endpoint is not an http or https URL"
    );
}

#[tokio::test]
async fn an_unbuildable_request_passes_to_the_next_deployment() {
    let aws = Settings::new()
        .region("us-east-1")
        .credentials(KEY, SECRET.into());
    let bedrock = Bedrock::new(&aws.client().await.expect("usable"), "");
    let error = ask(&bedrock, chat(json!({}))).await.expect_err("no model");
    let failure = failure(&error);
    assert_eq!(
        failure.kind(),
        FailureKind::Ineligible(Ineligible::Capability)
    );
    assert_eq!(failure.reach(), Reach::Refused);
}

/// Never answers, or begins to stream and then falls silent.
#[derive(Debug)]
struct Silent;

impl HttpConnector for Silent {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if !request.uri().ends_with("/converse-stream") {
            return HttpConnectorFuture::new(std::future::pending());
        }
        let first = support::event("messageStart", &json!({"role": "assistant"}));
        let frames = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from(first)))]);
        let body = StreamBody::new(frames.chain(stream::pending()));
        let status = 200.try_into().expect("a status");
        let body = SdkBody::from_body_1_x(body);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_sdk_sets_no_timeout_of_its_own() {
    let aws = Settings::new()
        .region("us-east-1")
        .credentials(KEY, SECRET.into())
        .http_client(http_client_fn(|_, _| SharedHttpConnector::new(Silent)))
        .client()
        .await
        .expect("usable");
    let bedrock = Bedrock::new(&aws, CLAUDE);
    let day = Duration::from_secs(24 * 60 * 60);
    let waited = tokio::time::timeout(day, ask(&bedrock, chat(json!({})))).await;
    assert!(
        waited.is_err(),
        "how long to wait is for the timeout layer to say"
    );

    let streamed = ask(&bedrock, chat(json!({"stream": true}))).await;
    let mut body = streamed.expect("a head").into_body();
    body.frame().await.expect("a frame").expect("a role");
    let waited = tokio::time::timeout(day, body.frame()).await;
    assert!(waited.is_err(), "a model may think for as long as it takes");
}

#[tokio::test]
async fn secrets_and_prompts_stay_where_they_are() {
    let echoed = format!(
        "The security token {TOKEN} of AKIAMARKEDKEYID at https://internal.example.com is invalid"
    );
    let server = Server::start(Reply::error(403, "UnrecognizedClientException", &echoed)).await;
    let settings = server.settings();
    let shown = format!("{settings:?}");
    let aws = settings.client().await.expect("usable");
    let bedrock = Bedrock::new(&aws, CLAUDE);
    let asked = chat(json!({"messages": [{"role": "user", "content": "marked-prompt"}]}));
    let future = format!(
        "{:?}",
        tower_service::Service::call(&mut bedrock.clone(), http::Request::new(asked.clone()))
    );
    let error = ask(&bedrock, asked).await.expect_err("an error");
    let message = error
        .downcast_ref::<ProviderError>()
        .and_then(ProviderError::message);
    let all = format!(
        "{shown} {bedrock:?} {future} {error:?} {error} {}",
        message.expect("cleaned")
    );
    for secret in [
        KEY,
        SECRET,
        "AKIAMARKED",
        "internal.example",
        "marked-prompt",
    ] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let sent = server.asked().pop().expect("one request").head;
    assert!(
        sent.contains(KEY) && sent.contains(TOKEN) && !sent.contains(SECRET),
        "it is signed"
    );
}
