//! A chain of deployments, each with its facts, behind a fallback.

use std::sync::{Arc, Mutex};

use backstop_catalog::{Capability, Facts};
use backstop_chat::Chat;
use backstop_core::{BoxError, Deployment, Failure, FailureKind, Ineligible, Trail, failure_of};
use backstop_fallback::{Fallback, Target};
use backstop_fit::{Fit, FitLayer};
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

type Service = BoxCloneSyncService<Request<Chat>, Response<&'static str>, BoxError>;

/// Who was called, in order.
type Calls = Arc<Mutex<Vec<&'static str>>>;

/// A deployment that answers, or fails as it is told.
fn target(
    id: &'static str,
    facts: Facts,
    fails: Option<FailureKind>,
    calls: &Calls,
) -> Target<Fit<Service>> {
    let calls = Arc::clone(calls);
    let service = service_fn(move |_: Request<Chat>| {
        calls.lock().expect("not poisoned").push(id);
        async move {
            match fails {
                Some(kind) => Err(BoxError::from(Failure::new(kind))),
                None => Ok(Response::new(id)),
            }
        }
    });
    let mut deployment = Deployment::new(id);
    if let Some(window) = facts.window() {
        deployment = deployment.with_window(window);
    }
    Target::new(
        deployment,
        FitLayer::new(facts).layer(BoxCloneSyncService::new(service)),
    )
}

fn window(tokens: u64) -> Facts {
    Facts::new().with_window(tokens)
}

/// A prompt of so many tokens in all common vocabularies.
fn prompt(tokens: usize) -> Request<Chat> {
    Request::new(Chat::user(&" word".repeat(tokens)))
}

fn seeing() -> Request<Chat> {
    let text = r#"{"model":"m","messages":[{"role":"user","content":[
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
    Request::new(Chat::parse(text).expect("valid"))
}

async fn ask(
    chain: impl IntoIterator<Item = Target<Fit<Service>>>,
    mut request: Request<Chat>,
) -> (
    Result<&'static str, FailureKind>,
    Vec<(String, FailureKind)>,
) {
    let trail = Trail::start();
    request.extensions_mut().insert(trail.clone());
    let chain = Fallback::new(chain).expect("a chain");
    let answer = chain.oneshot(request).await;
    let skipped = trail.snapshot().skipped;
    let skipped = skipped
        .iter()
        .map(|skip| (skip.deployment.id().to_string(), skip.reason));
    (
        answer
            .map(|answer| *answer.body())
            .map_err(|error| failure_of(&*error).expect("classified").kind()),
        skipped.collect(),
    )
}

#[tokio::test]
async fn a_long_prompt_makes_one_call_to_the_first_window_that_holds_it() {
    let calls = Calls::default();
    let chain = [
        target("128k", window(128_000), None, &calls),
        target("200k", window(200_000), None, &calls),
        target("1m", window(1_000_000), None, &calls),
    ];
    let (answer, skipped) = ask(chain, prompt(150_000)).await;
    assert_eq!(answer, Ok("200k"));
    assert_eq!(*calls.lock().expect("not poisoned"), ["200k"]);
    assert_eq!(
        skipped,
        [(
            "128k".to_owned(),
            FailureKind::Ineligible(Ineligible::Window)
        )]
    );
}

#[tokio::test]
async fn a_vision_request_skips_text_models() {
    let calls = Calls::default();
    let blind = || Facts::new().with_support(Capability::Vision, false);
    let chain = [
        target("text", blind(), None, &calls),
        target("text too", blind(), None, &calls),
        target(
            "seeing",
            Facts::new().with_support(Capability::Vision, true),
            None,
            &calls,
        ),
    ];
    let (answer, skipped) = ask(chain, seeing()).await;
    assert_eq!(answer, Ok("seeing"));
    assert_eq!(*calls.lock().expect("not poisoned"), ["seeing"]);
    let reasons: Vec<_> = skipped.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(
        reasons,
        [FailureKind::Ineligible(Ineligible::Capability); 2]
    );
}

#[tokio::test]
async fn a_window_that_proved_too_small_leads_only_upward() {
    let calls = Calls::default();
    let too_long = Some(FailureKind::ContextWindow);
    let chain = [
        target("200k", window(200_000), too_long, &calls),
        target("128k", window(128_000), None, &calls),
        target("200k too", window(200_000), None, &calls),
        target("1m", window(1_000_000), None, &calls),
    ];
    let (answer, skipped) = ask(chain, prompt(100)).await;
    assert_eq!(answer, Ok("1m"));
    assert_eq!(*calls.lock().expect("not poisoned"), ["200k", "1m"]);
    let passed: Vec<_> = skipped.iter().map(|(id, _)| &**id).collect();
    assert_eq!(passed, ["128k", "200k too"]);
}

#[tokio::test]
async fn a_chain_that_cannot_says_why() {
    let calls = Calls::default();
    let small = || window(1_000);
    let chain = [
        target("a", small(), None, &calls),
        target("b", small(), None, &calls),
    ];
    assert_eq!(
        ask(chain, prompt(2_000)).await.0,
        Err(FailureKind::Ineligible(Ineligible::Window))
    );

    let blind = || Facts::new().with_support(Capability::Vision, false);
    let chain = [
        target("a", blind(), None, &calls),
        target("b", blind(), None, &calls),
    ];
    assert_eq!(
        ask(chain, seeing()).await.0,
        Err(FailureKind::Ineligible(Ineligible::Capability))
    );
    assert!(calls.lock().expect("not poisoned").is_empty());
}
