//! Time: the bound on the whole stream, and signs of life.

use std::time::Duration;

use backstop_core::{Deadline, FailureKind};
use tokio::time::Instant;

use crate::support::{Leg, PREFILLED, TEXT, WHOLE, all, ask, body, breaks, stack};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_stream_may_have_a_bound() {
    let slow = Leg {
        pace: SECOND,
        ..WHOLE
    };
    let begun = Instant::now();
    let got = ask(
        all().stream_deadline(4 * SECOND + SECOND / 2),
        "",
        [slow.clone()],
    )
    .await;
    assert_eq!(got.kind(), Some(FailureKind::Deadline));
    assert_eq!(Instant::now() - begun, 4 * SECOND + SECOND / 2);
    got.assert_broken(TEXT, "it says so");
    // The role, and three pieces.
    assert_eq!(got.text.chars().count(), 21);
    let record = got.trail.snapshot();
    assert!(record.resumes.is_empty(), "it did not break");
    assert!(record.attempts[0].usage.is_some(), "it took something");

    ask(all(), "", [slow.clone()])
        .await
        .assert_whole(TEXT, "none is set");
    let got = ask(all().stream_deadline(600 * SECOND), "", [slow]).await;
    got.assert_whole(TEXT, "it is far");
}

#[tokio::test(start_paused = true)]
async fn the_bound_holds_for_whatever_is_under_way() {
    let late = Leg {
        delay: 20 * SECOND,
        ..PREFILLED
    };
    let begun = Instant::now();
    let options = all().stream_deadline(7 * SECOND);
    let got = ask(options, "", [breaks(5), late]).await;
    assert_eq!(got.kind(), Some(FailureKind::Deadline));
    assert_eq!(Instant::now() - begun, 7 * SECOND);
    assert_eq!(
        got.refused().as_deref(),
        Some("the time of the whole stream was over")
    );
    let off = all().max_resumes(0).stream_deadline(SECOND);
    let slow = Leg {
        pace: SECOND,
        ..WHOLE
    };
    let got = ask(off, "", [slow]).await;
    assert_eq!(
        got.kind(),
        Some(FailureKind::Deadline),
        "without going on, too"
    );
}

#[tokio::test(start_paused = true)]
async fn each_part_has_its_own_time_within_the_whole() {
    let deadlines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&deadlines);
    let begun = Instant::now();
    let options = all().stream_deadline(20 * SECOND).deadline(8 * SECOND);
    stack(options, "", move |request| {
        let deadline = request.extensions().get::<Deadline>().expect("a deadline");
        let mut seen = seen.lock().expect("no panic");
        seen.push(deadline.instant() - begun);
        async move {
            tokio::time::sleep(7 * SECOND).await;
            let writer = backstop_chat::emit::Writer::new("id", "m", 0, false);
            let broken = backstop_core::Failure::new(FailureKind::Network);
            let frames = vec![Ok(writer.role()), Err(broken.into())];
            Ok(http::Response::new(body(frames, Duration::ZERO)))
        }
    })
    .await;
    let deadlines = deadlines.lock().expect("no panic");
    assert_eq!(*deadlines, [20 * SECOND, 15 * SECOND, 20 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn the_caller_sees_life_while_the_next_part_begins() {
    let late = Leg {
        delay: 11 * SECOND + SECOND / 2,
        ..PREFILLED
    };
    for (interval, signs) in [(5, 3), (4, 3), (1, 12), (30, 1), (0, 1)] {
        let options = all().keep_alive(interval * SECOND);
        let got = ask(options, "", [breaks(5), late.clone()]).await;
        got.assert_whole(TEXT, "late");
        assert_eq!(got.signs, signs, "each {interval} s");
        let first = got.bytes.find(":\n\n").expect("a sign");
        assert!(first < got.bytes.find(": backstop").expect("a comment"));
    }
    let got = ask(all(), "", [breaks(5), late]).await;
    assert_eq!(got.signs, 3, "each 5 s");
}

#[tokio::test(start_paused = true)]
async fn and_while_its_place_is_not_known() {
    // It says the quotation slowly: 91 characters, seven each second, and the role.
    let slow = Leg {
        pace: SECOND,
        ..WHOLE
    };
    let got = ask(all(), "", [breaks(13), slow]).await;
    got.assert_whole(TEXT, "slow");
    assert_eq!(
        got.signs,
        1 + 2,
        "at the break, after 5 s and 10 s; none behind the seam"
    );
}
