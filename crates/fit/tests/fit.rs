//! One deployment: what is refused, what passes, and how the layer behaves as a service.

use std::task::Poll;

use backstop_catalog::{Capability, Catalog, Facts, Family};
use backstop_chat::Chat;
use backstop_core::{BoxError, FailureKind, Ineligible, Reach, failure_of};
use backstop_fit::{Fit, FitLayer};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

fn chat(members: &str) -> Request<Chat> {
    let text = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{members}}}"#);
    Request::new(Chat::parse(text).expect("valid"))
}

fn parts(parts: &str) -> Request<Chat> {
    let text = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}}]}}"#);
    Request::new(Chat::parse(text).expect("valid"))
}

/// Words of one token each.
fn words(count: usize) -> Request<Chat> {
    Request::new(Chat::user(&" word".repeat(count)))
}

/// Why a model of these facts may not be asked; `None` if it was.
async fn refusal(facts: Facts, request: Request<Chat>) -> Option<(Ineligible, String)> {
    let service = service_fn(async |_: Request<Chat>| Ok::<_, BoxError>(Response::new(())));
    let error = FitLayer::new(facts)
        .layer(service)
        .oneshot(request)
        .await
        .err()?;
    let failure = failure_of(&*error).expect("a refusal is a failure");
    assert_eq!(failure.reach(), Reach::Refused);
    let FailureKind::Ineligible(why) = failure.kind() else {
        panic!("{failure}");
    };
    Some((why, failure.detail().unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn each_need_is_held_against_the_facts() {
    const IMAGE: &str = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}"#;
    const AUDIO: &str = r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#;
    const FILE: &str = r#"{"type":"file","file":{"file_id":"f"}}"#;
    const TOOLS: &str = r#","tools":[{"type":"function","function":{"name":"f"}}]"#;
    let tools = || chat(TOOLS);
    let parallel = || chat(&format!("{TOOLS},\"parallel_tool_calls\":true"));
    let schema = || {
        chat(r#","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}}"#)
    };
    let spoken = || chat(r#","modalities":["text","audio"],"audio":{"voice":"v","format":"wav"}"#);
    let reasoning = || chat(r#","reasoning_effort":"high""#);
    let needs: [(Capability, &dyn Fn() -> Request<Chat>); 8] = [
        (Capability::Tools, &tools),
        (Capability::ParallelTools, &parallel),
        (Capability::Vision, &|| parts(IMAGE)),
        (Capability::AudioIn, &|| parts(AUDIO)),
        (Capability::AudioOut, &spoken),
        (Capability::Pdf, &|| parts(FILE)),
        (Capability::JsonSchema, &schema),
        (Capability::Reasoning, &reasoning),
    ];
    for (capability, request) in needs {
        let known = |able| Facts::new().with_support(capability, able);
        let refused = refusal(known(false), request()).await;
        assert_eq!(
            refused.map(|(why, _)| why),
            Some(Ineligible::Capability),
            "{capability}"
        );
        assert_eq!(refusal(known(true), request()).await, None, "{capability}");
        assert_eq!(
            refusal(Facts::new(), request()).await,
            None,
            "{capability} is not known"
        );
        assert_eq!(
            refusal(known(false), chat("")).await,
            None,
            "{capability} is not needed"
        );
    }
}

#[tokio::test]
async fn prompt_and_answer_share_the_window() {
    let facts = || Facts::new().with_window(1_000).with_family(Family::OpenAi);
    assert_eq!(refusal(facts(), words(900)).await, None);
    let (why, detail) = refusal(facts(), words(1_001)).await.expect("too long");
    assert_eq!(why, Ineligible::Window);
    assert_eq!(detail, "at least 1004 tokens in a window of 1000");

    let mut asking = words(900);
    assert!(backstop_core::Ask::clamp_output(&mut asking, 200));
    let refused = refusal(facts(), asking.clone()).await;
    assert_eq!(refused.map(|(why, _)| why), Some(Ineligible::Window));
    assert_eq!(
        refusal(facts().with_max_output(50), asking.clone()).await,
        None
    );
    assert_eq!(refusal(facts().with_output_apart(true), asking).await, None);
}

#[tokio::test]
async fn what_is_not_known_passes() {
    assert_eq!(refusal(Facts::new(), words(5_000)).await, None);
}

#[tokio::test]
async fn the_facts_of_the_catalogue_do() {
    let facts = |provider, model| Catalog::shipped().find(provider, model).expect("listed");
    let image = || parts(r#"{"type":"image_url","image_url":{"url":"https://x.example/i.png"}}"#);
    assert!(refusal(facts("openai", "o3-mini"), image()).await.is_some());
    assert_eq!(refusal(facts("openai", "gpt-4o"), image()).await, None);
}

#[test]
fn readiness_is_that_of_the_service_within() {
    let (mut fit, mut handle) =
        mock::spawn_with(|inner: mock::Mock<Request<Chat>, ()>| -> Fit<_> {
            FitLayer::new(Facts::new().with_support(Capability::Reasoning, false)).layer(inner)
        });
    handle.allow(0);
    assert!(fit.poll_ready().is_pending());
    handle.allow(1);
    assert!(matches!(fit.poll_ready(), Poll::Ready(Ok(()))));

    // A refusal leaves the readiness to the next request: nothing was sent.
    let mut refused = polled(fit.call(chat(r#","reasoning_effort":"low""#)));
    assert!(matches!(refused(), Poll::Ready(Err(_))));
    let mut called = polled(fit.call(chat("")));
    assert!(called().is_pending());
}

/// Polls a future by hand.
fn polled<F: Future>(future: F) -> impl FnMut() -> Poll<F::Output> {
    let mut future = Box::pin(future);
    move || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        future.as_mut().poll(&mut cx)
    }
}

#[tokio::test]
async fn a_clone_serves_alone() {
    let service = service_fn(async |_: Request<Chat>| Ok::<_, BoxError>(Response::new(())));
    let mut fit = FitLayer::new(Facts::new()).layer(service);
    fit.ready().await.expect("ready");
    let clone = fit.clone();
    fit.call(chat("")).await.expect("answered");
    clone.oneshot(chat("")).await.expect("answered");
}
