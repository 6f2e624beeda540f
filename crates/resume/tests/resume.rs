//! Streams that break, over deployments that go on, fail, repeat themselves and invent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use backstop_chat::emit::Writer;
use backstop_chat::{Body, Chat, Chunk, Continue, Continued, Finish, Mode, Modes, Prefill, anchor};
use backstop_core::{
    BoxError, Continuing, Deadline, Decision, Deployment, Failure, FailureKind, Trail, Usage,
};
use backstop_resume::{ResumeLayer, ResumeOptions};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

const TEXT: &str = "The load moves over to the others, the deck stays level, and nobody crossing should have to know. 🐕 \"Quoted\"\r\n\\n";

/// How a deployment goes on.
#[derive(Clone, Copy)]
enum Style {
    /// As it was asked.
    Asked,
    Echo,
    Overlap(usize),
    Paraphrase,
    NoAnchor,
}

/// What one call does.
#[derive(Clone)]
struct Leg {
    prefill: bool,
    style: Style,
    /// Breaks after so many chunks of text, with this failure.
    breaks: Option<(usize, FailureKind)>,
}

const WHOLE: Leg = Leg {
    prefill: false,
    style: Style::Asked,
    breaks: None,
};

fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunks(7)
        .map(|piece| piece.iter().collect())
        .collect()
}

/// A deployment's answer: the known text, or its rest.
fn answer(leg: &Leg, nth: usize, request: &Request<Chat>) -> Result<Response<Body>, BoxError> {
    let trail = Trail::of(request.extensions())
        .expect("the test began one")
        .clone();
    let deployment = Deployment::new(format!("d{nth}")).with_model(format!("m{nth}"));
    let mut attempt = trail.attempt(&Arc::new(deployment));
    attempt.answered(None, None);
    let mut mode = None;
    let mut text = TEXT.to_owned();
    if let Some(go_on) = request.extensions().get::<Continue>() {
        assert!(
            request
                .extensions()
                .get::<Continuing>()
                .is_some_and(|it| it.is_broken("d0"))
        );
        assert!(request.extensions().get::<Deadline>().is_some());
        let prefill = leg.prefill.then(Prefill::default);
        let (_, way) = go_on.apply(request.body(), "test", "m0", prefill, None)?;
        mode = Some(way);
        let delivered = go_on.delivered();
        let rest = &TEXT[delivered.trim_end().len()..];
        text = match (way, leg.style) {
            (Mode::Prompted, Style::Asked) => format!("{}{rest}", anchor(delivered)),
            (Mode::Prompted, Style::Overlap(chars)) => {
                let skip = delivered.chars().count().saturating_sub(chars);
                TEXT.chars().skip(skip).collect()
            }
            (Mode::Replay, _) | (_, Style::Echo) => TEXT.to_owned(),
            (_, Style::Paraphrase) => {
                "Differently put: services reply even when their pieces break down.".repeat(8)
            }
            _ => rest.to_owned(),
        };
    }
    let writer = Writer::new(
        &format!("id{nth}"),
        &format!("m{nth}"),
        nth as u64,
        request.body().include_usage(),
    );
    let mut frames: Vec<Result<Chunk, BoxError>> = vec![Ok(writer.role())];
    let all = pieces(&text);
    let said = leg
        .breaks
        .map_or(all.len(), |(after, _)| after.min(all.len()));
    frames.extend(all[..said].iter().map(|piece| Ok(writer.text(piece))));
    if let Some((_, kind)) = leg.breaks {
        frames.push(Err(Failure::new(kind).into()));
    } else {
        frames.push(Ok(writer.finish(Finish::Stop, true)));
        frames.push(Ok(writer.usage(Usage::reported(10, all.len() as u64))));
    }
    attempt.settle(Ok(()));
    let frames = frames.into_iter().map(|frame| frame.map(Frame::data));
    let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(
        frames,
    ))));
    if let Some(mode) = mode {
        response.extensions_mut().insert(Continued(mode));
    }
    Ok(response)
}

/// What the client got.
struct Got {
    text: String,
    ids: Vec<String>,
    finishes: usize,
    roles: usize,
    comments: Vec<String>,
    usage: Option<u64>,
    error: Option<BoxError>,
    trail: Trail,
}

async fn ask(options: ResumeOptions, extra: &str, legs: impl IntoIterator<Item = Leg>) -> Got {
    let legs: Arc<Mutex<VecDeque<Leg>>> = Arc::new(Mutex::new(legs.into_iter().collect()));
    let calls = Arc::new(Mutex::new(0));
    let service = service_fn(move |request: Request<Chat>| {
        let leg = legs.lock().expect("no panic").pop_front();
        let nth = std::mem::replace(&mut *calls.lock().expect("no panic"), 0);
        *calls.lock().expect("no panic") = nth + 1;
        std::future::ready(match leg {
            Some(leg) => answer(&leg, nth, &request),
            None => Err::<_, BoxError>(Failure::new(FailureKind::Overloaded).into()),
        })
    });
    let chat = format!(
        r#"{{"model": "smart", "stream": true, "stream_options": {{"include_usage": true}} {extra}, "messages": [{{"role": "user", "content": "hi"}}]}}"#
    );
    let mut request = Request::new(Chat::parse(chat).expect("valid"));
    let trail = Trail::start();
    request.extensions_mut().insert(trail.clone());
    let response = ResumeLayer::with_options(options)
        .layer(service)
        .oneshot(request)
        .await
        .expect("a first part");
    let mut got = Got {
        text: String::new(),
        ids: Vec::new(),
        finishes: 0,
        roles: 0,
        comments: Vec::new(),
        usage: None,
        error: None,
        trail,
    };
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let chunk = match frame {
            Ok(frame) => frame.into_data().expect("data"),
            Err(error) => {
                got.error = Some(error);
                break;
            }
        };
        let json = chunk.json().to_vec();
        let bytes = String::from_utf8(chunk.into_bytes().to_vec()).expect("text");
        got.comments.extend(
            bytes
                .lines()
                .filter_map(|line| line.strip_prefix(": "))
                .map(str::to_owned),
        );
        let Ok(event) = serde_json::from_slice::<Value>(&json) else {
            continue;
        };
        let id = event["id"].as_str().expect("an id").to_owned();
        if got.ids.last() != Some(&id) {
            got.ids.push(id);
        }
        let choice = &event["choices"][0];
        got.text
            .push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        got.roles += usize::from(choice["delta"]["role"].is_string());
        got.finishes += usize::from(choice["finish_reason"].is_string());
        got.usage = got.usage.or(event["usage"]["completion_tokens"].as_u64());
    }
    assert!(body.frame().await.is_none(), "it stays ended");
    got
}

fn all() -> ResumeOptions {
    ResumeOptions::new().prompted(true)
}

fn breaks(after: usize) -> Leg {
    Leg {
        breaks: Some((after, FailureKind::Network)),
        ..WHOLE
    }
}

fn assert_whole(got: &Got, why: &str) {
    assert!(got.error.is_none(), "{why}: {:?}", got.error);
    assert_eq!(got.text, TEXT, "{why}");
    assert_eq!((got.finishes, got.roles), (1, 1), "{why}");
    assert_eq!(got.ids, ["id0"], "{why}");
}

#[tokio::test(start_paused = true)]
async fn every_place_to_break_and_every_way_to_go_on() {
    for after in 1..=pieces(TEXT).len() {
        for (prefill, extra) in [(true, ""), (false, r#", "temperature": 0"#), (false, "")] {
            let got = ask(all(), extra, [breaks(after), Leg { prefill, ..WHOLE }]).await;
            assert_whole(&got, &format!("after {after}, prefill {prefill}, {extra}"));
            let resumes = got.trail.snapshot().resumes;
            assert_eq!(resumes.len(), 1);
            assert_eq!(
                resumes[0].deployment.as_ref().map(|it| &**it.id()),
                Some("d1")
            );
        }
        for style in [Style::Echo, Style::Overlap(20), Style::Overlap(200)] {
            if after < 3 {
                continue;
            }
            let got = ask(all(), "", [breaks(after), Leg { style, ..WHOLE }]).await;
            assert_whole(&got, &format!("after {after}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_break() {
    for kind in [
        FailureKind::Network,
        FailureKind::Timeout,
        FailureKind::ServerError,
        FailureKind::Overloaded,
        FailureKind::RateLimit,
    ] {
        let first = Leg {
            breaks: Some((5, kind)),
            ..WHOLE
        };
        assert_whole(&ask(all(), "", [first, WHOLE]).await, kind.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_said_where_and_how_it_went_on() {
    let got = ask(
        all(),
        "",
        [
            breaks(5),
            Leg {
                prefill: true,
                ..WHOLE
            },
        ],
    )
    .await;
    assert_eq!(
        got.comments,
        ["backstop resumed mode=prefill deployment=d1 delivered=35"]
    );
    let record = got.trail.snapshot();
    assert_eq!(record.resumes[0].mode, Some("prefill"));
    assert_eq!(record.resumes[0].delivered, 35);
    assert_eq!(record.attempts[0].decision, Some(Decision::Resume));
    assert_eq!(
        got.usage,
        Some(5 + pieces(&TEXT[TEXT[..35].trim_end().len()..]).len() as u64),
        "the usage of both parts"
    );
}

#[tokio::test(start_paused = true)]
async fn two_breaks_in_one_stream() {
    let got = ask(
        all(),
        "",
        [
            breaks(4),
            Leg {
                prefill: true,
                ..breaks(3)
            },
            WHOLE,
        ],
    )
    .await;
    assert_whole(&got, "twice");
    assert_eq!(got.trail.snapshot().resumes.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_third_break_is_too_many() {
    let got = ask(all(), "", [breaks(4), breaks(20), breaks(20), WHOLE]).await;
    assert!(got.error.is_some());
    assert_eq!(got.finishes, 0, "never a fake end");
    assert!(TEXT.starts_with(&got.text), "never glued text");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_placed_goes_to_the_next_or_fails() {
    for style in [Style::Paraphrase, Style::NoAnchor] {
        let odd = Leg { style, ..WHOLE };
        let got = ask(all(), "", [breaks(5), odd.clone(), WHOLE]).await;
        assert_whole(&got, "the next one can be placed");
        let got = ask(all(), "", [breaks(5), odd.clone(), odd]).await;
        assert_eq!(got.text, TEXT.chars().take(35).collect::<String>());
        assert!(got.error.is_some() && got.finishes == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn everything_else_down_is_the_failure_that_broke_it() {
    let got = ask(
        all(),
        "",
        [Leg {
            breaks: Some((5, FailureKind::Timeout)),
            ..WHOLE
        }],
    )
    .await;
    let error = got.error.expect("nobody can go on");
    assert_eq!(
        backstop_core::failure_of(&*error).map(Failure::kind),
        Some(FailureKind::Timeout)
    );
    let refused = got.trail.snapshot().resumes[0].refused.clone();
    assert_eq!(refused.as_deref(), Some("no deployment could go on"));
}

#[tokio::test(start_paused = true)]
async fn without_a_prompt_only_exact_ways_count() {
    let got = ask(ResumeOptions::new(), "", [breaks(5), WHOLE]).await;
    assert!(
        got.error.is_some(),
        "it takes no prefill, and the answer is not determined"
    );
    let got = ask(
        ResumeOptions::new(),
        "",
        [
            breaks(5),
            Leg {
                prefill: true,
                ..WHOLE
            },
        ],
    )
    .await;
    assert_whole(&got, "prefill");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_plain_text_is_not_continued() {
    for extra in [
        r#", "n": 2"#,
        r#", "response_format": {"type": "json_object"}"#,
        r#", "logprobs": true"#,
    ] {
        let got = ask(all(), extra, [breaks(5), WHOLE]).await;
        assert!(got.error.is_some(), "{extra}");
        assert!(got.trail.snapshot().resumes.is_empty());
    }
    let filtered = Leg {
        breaks: Some((5, FailureKind::ContentFilter)),
        ..WHOLE
    };
    assert!(
        ask(all(), "", [filtered, WHOLE]).await.error.is_some(),
        "what a filter stopped stays stopped"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_break_is_left_alone() {
    let got = ask(all(), "", [WHOLE]).await;
    assert_whole(&got, "whole");
    assert!(got.comments.is_empty() && got.trail.snapshot().resumes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_may_bring_its_own_options() {
    let service =
        service_fn(|request: Request<Chat>| std::future::ready(answer(&breaks(5), 0, &request)));
    let mut request = Request::new(Chat::user("hi").streamed(true));
    request.extensions_mut().insert(Trail::start());
    request
        .extensions_mut()
        .insert(ResumeOptions::new().max_resumes(0));
    let response = ResumeLayer::with_options(all())
        .layer(service)
        .oneshot(request)
        .await
        .expect("a first part");
    assert!(response.into_body().collect().await.is_err());
}

/// A service that answers its first call with `first` and a break, and its second with `second`.
async fn two_parts(
    options: ResumeOptions,
    first: fn(&Writer) -> Vec<Chunk>,
    second: fn(&Writer) -> Vec<Chunk>,
) -> (String, bool) {
    let calls = Arc::new(Mutex::new(0));
    let service = service_fn(move |_: Request<Chat>| {
        let nth = *calls.lock().expect("no panic");
        *calls.lock().expect("no panic") = nth + 1;
        let writer = Writer::new(&format!("id{nth}"), "m", 1, false);
        let chunks = if nth == 0 {
            first(&writer)
        } else {
            second(&writer)
        };
        let mut frames: Vec<Result<_, BoxError>> = chunks
            .into_iter()
            .map(|chunk| Ok(Frame::data(chunk)))
            .collect();
        if nth == 0 {
            frames.push(Err(Failure::new(FailureKind::Network).into()));
        }
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        std::future::ready(Ok::<_, BoxError>(Response::new(body)))
    });
    let request = Request::new(Chat::user("hi").streamed(true));
    let response = ResumeLayer::with_options(options)
        .layer(service)
        .oneshot(request)
        .await
        .expect("a first part");
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().expect("data").into_bytes()),
            Err(_) => return (String::from_utf8(bytes).expect("text"), false),
        }
    }
    (String::from_utf8(bytes).expect("text"), true)
}

#[tokio::test(start_paused = true)]
async fn reasoning_is_not_shown_twice() {
    let (bytes, whole) = two_parts(
        all(),
        |writer| vec![writer.role(), writer.reasoning("hm")],
        |writer| {
            vec![
                writer.role(),
                writer.reasoning("aha"),
                writer.text("Yes."),
                writer.finish(Finish::Stop, true),
            ]
        },
    )
    .await;
    assert!(
        whole && bytes.contains("Yes.") && bytes.contains("hm") && !bytes.contains("aha"),
        "{bytes}"
    );
    assert!(!bytes.contains("id1"));
}

#[tokio::test(start_paused = true)]
async fn a_tool_call_that_is_held_was_never_delivered() {
    let first: fn(&Writer) -> Vec<Chunk> = |writer| {
        vec![
            writer.role(),
            writer.tool_call(0, "call_a", "f"),
            writer.tool_arguments(0, "{\"x\""),
        ]
    };
    let second: fn(&Writer) -> Vec<Chunk> = |writer| {
        vec![
            writer.role(),
            writer.tool_call(0, "call_b", "f"),
            writer.tool_arguments(0, "{\"x\":1}"),
            writer.finish(Finish::ToolCalls, true),
        ]
    };
    let (bytes, whole) = two_parts(all().hold_tool_calls(true), first, second).await;
    assert!(
        whole && !bytes.contains("call_a"),
        "half a call was held back: {bytes}"
    );
    assert_eq!(bytes.matches("call_b").count(), 1);
    let (bytes, whole) = two_parts(all(), first, second).await;
    assert!(
        !whole && bytes.contains("call_a"),
        "half a call cannot be taken back: {bytes}"
    );
}

#[test]
fn modes_are_named() {
    let all = Modes {
        prefill: true,
        replay: true,
        prompted: true,
    };
    assert!(format!("{all:?}").contains("prompted"));
    assert_eq!(Mode::Prompted.as_str(), "prompted");
}
