//! How long a stream may take, and what it says while it goes on.

use serde_json::Value;

use crate::each;
use crate::support::{Gateway, config, deployment, sim};

#[tokio::test]
async fn stream_deadline_bounds_a_whole_stream() {
    let sim = sim().await;
    // Well over half a second; each of its events comes in time.
    let slow = || deployment("smart", "openai/gpt-4o+slow=50+tokens=12");
    for deadline in ["router_settings: {mid_stream: {stream_deadline: 0.2}}", ""] {
        let own = match deadline {
            "" => slow().param("mid_stream: {stream_deadline: 0.2}"),
            _ => slow(),
        };
        let gateway = Gateway::start(&sim, &config(&[own], deadline)).await;
        let stream = gateway.ask("smart", true).await;
        let answer = stream.answer();
        assert_eq!(answer.error.expect("an error")["code"], "deadline_exceeded");
        assert!(answer.finish.is_empty(), "it does not look complete");
        let record = gateway.record(stream.request_id()).await;
        assert_eq!(each(&record, "result"), ["deadline"], "{record}");
        assert_eq!(
            record["resumes"].as_array().map_or(0, Vec::len),
            0,
            "nobody goes on"
        );
    }
    let gateway = Gateway::start(&sim, &config(&[slow()], "")).await;
    let answer = gateway.ask("smart", true).await.answer();
    assert_eq!(
        (answer.error, &*answer.finish),
        (None::<Value>, &["stop".to_owned()][..])
    );
}

#[tokio::test]
async fn keep_alive_says_how_often_a_stream_that_goes_on_shows_life() {
    let sim = sim().await;
    let pair = [
        deployment("smart", "openai/gpt-4o+tokens=12+cut=4"),
        deployment("smart", "openai/gpt-4o-mini+tokens=12+latency=400"),
    ];
    for (interval, least, most) in [("0", 1, 1), ("0.05", 3, 10)] {
        let settings = format!("router_settings: {{mid_stream: {{keep_alive: {interval}}}}}");
        let gateway = Gateway::start(&sim, &config(&pair, &settings)).await;
        let stream = gateway.ask("smart", true).await;
        assert_eq!(stream.answer().finish, ["stop"]);
        let resumed = stream
            .text()
            .find(": backstop resumed ")
            .expect("it went on");
        let (before, behind) = stream.text().split_at(resumed);
        let signs = |text: &str| text.lines().filter(|line| *line == ":").count();
        let waited = signs(before);
        assert!((least..=most).contains(&waited), "{interval}: {waited}");
        assert_eq!(signs(behind), 0, "the part itself is sign enough");
    }
}
