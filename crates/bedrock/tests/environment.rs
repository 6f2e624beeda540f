//! What is found in the environment. Each test runs once more, in a process that has the environment it is about.

mod support;

use std::process::Command;

use backstop_bedrock::{Bedrock, Settings};
use backstop_core::{FailureKind, Reach};
use serde_json::json;
use support::{CLAUDE, Reply, Server, ask, chat, failure};

const INNER: &str = "BACKSTOP_TEST_INNER";

/// Whether this is the process with `variables`; if not, starts it and waits for it.
fn within(test: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var_os(INNER).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test])
        .env_clear()
        .env(INNER, "1")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

async fn server() -> Server {
    Server::start(Reply::error(400, "ValidationException", "asked")).await
}

#[tokio::test]
async fn a_bearer_token_that_is_found() {
    let variables = [
        ("AWS_BEARER_TOKEN_BEDROCK", "marked-bearer"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDFOUND"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    if !within("a_bearer_token_that_is_found", &variables) {
        return;
    }
    let server = server().await;
    let found = Settings::new().endpoint_url(&server.url);
    let client = found.client().await.expect("the region is found");
    let error = ask(&Bedrock::new(&client, CLAUDE), chat(json!({}))).await;
    assert!(!format!("{:?}", error.expect_err("asked")).contains("marked-bearer"));
    let head = server.asked().pop().expect("one request").head;
    assert!(
        head.contains("authorization: Bearer marked-bearer"),
        "it wins over a key that is found"
    );

    let set = server.settings().client().await.expect("usable");
    ask(&Bedrock::new(&set, CLAUDE), chat(json!({})))
        .await
        .expect_err("asked");
    let head = server.asked().pop().expect("another request").head;
    assert!(head.contains(support::KEY), "not over one that is set");
}

#[tokio::test]
async fn no_credentials_anywhere() {
    if !within("no_credentials_anywhere", &[]) {
        return;
    }
    let server = server().await;
    let settings = Settings::new()
        .region("us-east-1")
        .endpoint_url(&server.url);
    let client = settings
        .client()
        .await
        .expect("credentials are looked for later");
    let error = ask(&Bedrock::new(&client, CLAUDE), chat(json!({}))).await;
    let failure = failure(&error.expect_err("no key"));
    assert_eq!(
        (failure.kind(), failure.reach()),
        (FailureKind::Auth, Reach::Unsent)
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn no_region_anywhere() {
    if !within("no_region_anywhere", &[]) {
        return;
    }
    let error = Settings::new().client().await.expect_err("no region");
    assert!(error.to_string().contains("AWS_REGION"));
}

#[tokio::test]
async fn retries_that_the_environment_asks_for_are_not_made() {
    let variables = [("AWS_MAX_ATTEMPTS", "5"), ("AWS_RETRY_MODE", "standard")];
    if !within(
        "retries_that_the_environment_asks_for_are_not_made",
        &variables,
    ) {
        return;
    }
    let server = Server::start(Reply::error(500, "InternalServerException", "x")).await;
    let bedrock = server.bedrock(CLAUDE).await;
    ask(&bedrock, chat(json!({}))).await.expect_err("an error");
    assert_eq!(server.asked().len(), 1);
}
