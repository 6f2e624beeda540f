//! Streams that break, over deployments that go on, fail, repeat themselves and invent.

mod calls;
mod exact;
mod support;
mod unfit;
mod waiting;

use std::sync::Arc;

use backstop_chat::{Body, Chat, Chunk};
use backstop_core::{BoxError, Decision, Failure, FailureKind, Trail, UsageSource};
use backstop_resume::{ResumeLayer, ResumeOptions};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Leg, PREFILLED, Style, TEXT, WHOLE, all, ask, breaks, pieces, styled};

#[tokio::test(start_paused = true)]
async fn it_is_said_where_and_how_it_went_on() {
    let got = ask(all(), "", [breaks(5), PREFILLED]).await;
    assert_eq!(
        got.comments,
        ["backstop resumed mode=prefill deployment=d1 delivered=35"]
    );
    let comment = got.bytes.find(": backstop").expect("a comment");
    let line = got.bytes[comment..].lines().nth(1).expect("a line");
    assert!(line.starts_with("data: "), "directly before the data");
    let record = got.trail.snapshot();
    assert_eq!(record.resumes[0].mode, Some("prefill"));
    assert_eq!(record.resumes[0].delivered, 35);
    assert_eq!(record.attempts[0].decision, Some(Decision::Resume));
}

#[tokio::test(start_paused = true)]
async fn usage_is_summed_and_what_nobody_reported_is_marked() {
    let got = ask(all(), "", [breaks(5), PREFILLED]).await;
    let rest = pieces(&TEXT[TEXT[..35].trim_end().len()..]).len() as u64;
    let record = got.trail.snapshot();
    let first = record.attempts[0].usage.expect("an estimate");
    assert_eq!((first.source, first.output), (UsageSource::Estimate, 5));
    assert!(first.input > 10, "the request, at four bytes a token");
    let second = record.attempts[1].usage.expect("a report");
    assert_eq!(
        (second.source, second.output),
        (UsageSource::Provider, rest)
    );
    assert_eq!(
        got.usage,
        [(first.input + second.input, first.output + second.output)]
    );
    let silent = Leg {
        reports: false,
        ..PREFILLED
    };
    let got = ask(all(), "", [breaks(5), silent]).await;
    assert!(got.usage.is_empty(), "no sum without its last part");
    let second = got.trail.snapshot().attempts[1].usage;
    let second = second.expect("an estimate for the record");
    assert_eq!(
        (second.source, second.output),
        (UsageSource::Estimate, rest)
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_that_could_not_be_placed_is_billed_all_the_same() {
    let got = ask(all(), "", [breaks(5), styled(Style::Paraphrase), PREFILLED]).await;
    got.assert_whole(TEXT, "the third goes on");
    let rows = got.trail.snapshot().attempts;
    let usage: Vec<_> = rows.iter().filter_map(|row| row.usage).collect();
    assert_eq!(usage.len(), 3);
    let sum = usage.iter().map(|usage| usage.output).sum::<u64>();
    assert!(
        sum >= 5 + 50 && got.usage[0].1 > 5 + 50,
        "{usage:?}, {:?}",
        got.usage
    );
}

#[tokio::test(start_paused = true)]
async fn two_and_three_breaks_in_one_stream() {
    let often = all().max_resumes(3);
    for first in 1..6 {
        for second in 0..6 {
            let legs = [breaks(first), PREFILLED.breaking(second), WHOLE];
            ask(all(), "", legs).await.assert_whole(TEXT, "twice");
            let legs = [
                breaks(first),
                WHOLE.breaking(second + 5),
                PREFILLED.breaking(second),
                WHOLE,
            ];
            let got = ask(often, "", legs).await;
            got.assert_whole(TEXT, "three times");
            assert_eq!(got.trail.snapshot().resumes.len(), 3);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_third_break_is_too_many() {
    let got = ask(all(), "", [breaks(4), breaks(20), breaks(20), WHOLE]).await;
    got.assert_broken(TEXT, "never a fake end");
    assert_eq!(
        got.refused().as_deref(),
        Some("it has gone on as often as it may")
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_before_its_first_token_leaves_the_rest_to_the_next() {
    for second in [WHOLE.breaking(0), PREFILLED.breaking(0), breaks(2)] {
        let got = ask(all(), "", [breaks(5), second, WHOLE]).await;
        got.assert_whole(TEXT, "the third goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_only_repeats_did_not_go_on() {
    // The second says again what was delivered, and breaks right there.
    let got = ask(all(), "", [breaks(5), breaks(5), WHOLE]).await;
    got.assert_whole(TEXT, "the third goes on");
    assert_eq!(got.comments.len(), 1);
    let resumes = got.trail.snapshot().resumes;
    assert_eq!(resumes.len(), 2);
    assert_eq!(
        (resumes[0].mode, resumes[0].refused.as_deref()),
        (None, Some("it broke off before it said anything new"))
    );
}

#[tokio::test(start_paused = true)]
async fn everything_else_down_is_the_failure_that_broke_it() {
    let first = Leg {
        breaks: Some((5, FailureKind::Timeout)),
        ..WHOLE
    };
    let got = ask(all(), "", [first]).await;
    got.assert_broken(TEXT, "nobody can go on");
    assert_eq!(got.kind(), Some(FailureKind::Timeout));
    assert_eq!(got.refused().as_deref(), Some("no deployment could go on"));
}

#[tokio::test(start_paused = true)]
async fn without_a_prompt_only_exact_ways_count() {
    let got = ask(ResumeOptions::new(), "", [breaks(5), WHOLE]).await;
    got.assert_broken(
        TEXT,
        "it takes no prefill, and its answer is not determined",
    );
    let got = ask(ResumeOptions::new(), "", [breaks(5), PREFILLED]).await;
    got.assert_whole(TEXT, "prefill");
}

#[tokio::test(start_paused = true)]
async fn too_little_that_stands_again_is_asked_for_from_further_back_once() {
    let overlap = styled(Style::Overlap(4));
    let got = ask(all(), "", [breaks(14), overlap.clone(), overlap.clone()]).await;
    got.assert_whole(TEXT, "the second time all of it stands again");
    let record = got.trail.snapshot();
    let refused = record.resumes[0].refused.as_deref();
    assert_eq!(
        refused,
        Some("too little stood again to be sure: asked from further back")
    );
    assert_eq!(record.resumes[1].mode, Some("prompted"));
    // It was no fault of the one that is asked again.
    let once = ResumeOptions::new().prompted(true).max_resumes(1);
    let got = ask(once, "", [breaks(14), overlap.clone(), overlap.clone()]).await;
    got.assert_whole(TEXT, "it goes on once");
    let odd = styled(Style::Paraphrase);
    let got = ask(once, "", [breaks(14), overlap, odd]).await;
    got.assert_broken(TEXT, "the second time it says something else");
}

#[tokio::test(start_paused = true)]
async fn a_stop_sequence_across_the_seam_stops() {
    let stop = r#", "stop": ["nobody else", "level, and"]"#;
    let broken = breaks(7);
    assert!(pieces(TEXT)[..7].concat().ends_with("deck stays"));
    let stop_here = r#", "stop": "stays level""#;
    for leg in [PREFILLED, WHOLE] {
        let got = ask(all(), stop_here, [broken.clone(), leg.clone()]).await;
        assert!(got.error.is_none());
        assert_eq!(
            got.text,
            pieces(TEXT)[..7].concat(),
            "what was delivered stays"
        );
        assert_eq!(got.finishes, ["stop"]);
        assert_eq!(got.usage.len(), 1);
        let got = ask(all(), stop, [broken.clone(), leg]).await;
        got.assert_whole(TEXT, "no stop sequence stands across this seam");
    }
    let almost = r#", "stop": ["deck stays put", "stays levelled"]"#;
    let got = ask(all(), almost, [broken, PREFILLED]).await;
    got.assert_whole(TEXT, "what only begins like one is handed on");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_break_is_left_alone() {
    let got = ask(all(), "", [WHOLE]).await;
    got.assert_whole(TEXT, "whole");
    assert!(got.comments.is_empty() && got.trail.snapshot().resumes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_may_bring_its_own_options() {
    let service = service_fn(async |_: Request<Chat>| {
        let frames = vec![
            Ok(backstop_chat::emit::Writer::new("id", "m", 0, false).text("x")),
            Err(Failure::new(FailureKind::Network).into()),
        ];
        let body = support::body(frames, std::time::Duration::ZERO);
        Ok::<_, BoxError>(Response::new(body))
    });
    let mut request = Request::new(Chat::user("hi").streamed(true));
    let trail = Trail::start();
    request.extensions_mut().insert(trail.clone());
    request
        .extensions_mut()
        .insert(ResumeOptions::new().max_resumes(0));
    let response = ResumeLayer::with_options(all())
        .layer(service)
        .oneshot(request)
        .await
        .expect("a first part");
    assert!(response.into_body().collect().await.is_err());
    assert!(trail.snapshot().resumes.is_empty(), "it is off");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_broke_lets_go_before_the_next_begins() {
    let held = Arc::new(());
    let seen = Arc::clone(&held);
    let service = service_fn(move |request: Request<Chat>| {
        let seen = Arc::clone(&seen);
        async move {
            if request
                .extensions()
                .get::<backstop_core::Continuing>()
                .is_some()
            {
                assert_eq!(Arc::strong_count(&seen), 3, "the first part is gone");
                return Err(Failure::new(FailureKind::Overloaded).into());
            }
            let frames = futures_util::stream::iter([0, 1]).map(move |nth| {
                let _held = &seen;
                let writer = backstop_chat::emit::Writer::new("id", "m", 0, false);
                if nth == 0 {
                    Ok(http_body::Frame::data(writer.text("x")))
                } else {
                    Err::<http_body::Frame<Chunk>, BoxError>("reset".into())
                }
            });
            Ok::<_, BoxError>(Response::new(Body::new(http_body_util::StreamBody::new(
                frames,
            ))))
        }
    });
    use futures_util::StreamExt;
    let request = Request::new(Chat::user("hi").streamed(true));
    let response = ResumeLayer::with_options(all())
        .layer(service)
        .oneshot(request)
        .await
        .expect("a first part");
    assert!(response.into_body().collect().await.is_err());
}
