//! Bodies that are no answer, and odd ones that are.

use backstop_sim::{Progress, Provider};

use crate::pair::{PROVIDERS, Pair, Seen, form};
use crate::support::{Gateway, Setup, config, sim, within};

/// A pair for each provider, for answers in each form.
fn pairs(name: &str, whole: &str, streamed: &str) -> Vec<(Pair, bool)> {
    let forms = [(false, whole), (true, streamed)];
    let pairs = PROVIDERS.into_iter().flat_map(|provider| {
        forms.map(|(stream, faults)| {
            let group = format!("{name}-{}-{}", provider.name(), form(stream));
            (Pair::new(&group, provider, faults), stream)
        })
    });
    pairs.collect()
}

#[tokio::test]
async fn a_body_that_is_no_answer_is_a_failure_and_the_next_one_answers() {
    let sim = sim().await;
    let mut cases = Vec::new();
    for (name, [whole, streamed], kinds) in [
        ("html", ["html"; 2], ["server_error"; 2]),
        ("garbage", ["garbage"; 2], ["server_error"; 2]),
        ("wrongtype", ["wrongtype"; 2], ["server_error"; 2]),
        // A stream of nothing has ended too early.
        ("empty", ["empty"; 2], ["server_error", "network"]),
        // Half of a body, or none of a stream's words: closed, reset, ended well, silent.
        ("truncated", ["truncated", "cutat=1"], ["network"; 2]),
        ("cut", ["cut=1", "cut=0"], ["network"; 2]),
        ("eof", ["eof=1", "eof=0"], ["network"; 2]),
        ("stall", ["stall=1", "stall=0"], ["timeout"; 2]),
        // An error that a stream's 200 begins with.
        ("error", ["error=0"; 2], ["server_error"; 2]),
    ] {
        let pairs = pairs(name, whole, streamed).into_iter();
        cases.extend(pairs.map(|(pair, stream)| (name, pair, stream, kinds[usize::from(stream)])));
    }
    let deployments = cases.iter().flat_map(|(_, pair, _, kind)| {
        let [first, second] = pair.deployments();
        if *kind == "timeout" {
            [first.param("timeout: 0.2"), second]
        } else {
            [first, second]
        }
    });
    let gateway = Gateway::start(&sim, &config(&deployments.collect::<Vec<_>>(), "")).await;
    for (name, pair, stream, kind) in &cases {
        let what = &pair.group;
        let response = gateway.ask(what, *stream).await;
        let seen = pair.seen(&response, what);
        let (expected, kind) = match (*name, pair.provider, stream) {
            // The SDK takes an answer for what it is, whatever its type is called.
            ("wrongtype", Provider::Bedrock, false) => (Seen::First, "ok"),
            // It begins with the length of a frame that does not come.
            ("garbage", Provider::Bedrock, true) => (Seen::Second, "network"),
            // The SDK does not say why it cannot read a document.
            ("eof", Provider::Bedrock, false) => (Seen::Second, "server_error"),
            // Its own word for it in a stream.
            ("error", Provider::Anthropic, true) => (Seen::Second, "overloaded"),
            _ => (Seen::Second, *kind),
        };
        assert_eq!(seen, expected, "{what}");
        assert_eq!(pair.calls(&sim, 0).await.len(), 1, "{what}");
        let record = gateway.record(response.request_id()).await;
        pair.assert_recorded(&seen, &record, kind, what);
    }
}

#[tokio::test]
async fn a_stream_may_be_written_in_any_way_that_means_the_same() {
    let sim = sim().await;
    let mut cases = Vec::new();
    for text in ["ascii", "multibyte", "emoji", "combining", "crlf", "code"] {
        for oddity in [
            "crlf",
            "comments",
            "split",
            "nodone",
            "crlf+comments+split+nodone",
        ] {
            let name = format!("{text}-{}", oddity.replace('+', "-"));
            let faults = format!("text={text}+{oddity}");
            cases.extend(pairs(&name, &faults, &faults));
        }
    }
    let deployments: Vec<_> = cases
        .iter()
        .flat_map(|(pair, _)| pair.deployments())
        .collect();
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for (pair, stream) in &cases {
        let response = gateway.ask(&pair.group, *stream).await;
        assert_eq!(
            pair.seen(&response, &pair.group),
            Seen::First,
            "{}",
            pair.group
        );
    }
}

#[tokio::test]
async fn an_endless_error_is_read_to_its_beginning() {
    let sim = sim().await;
    let cases = pairs("endless", "hugeerror", "hugeerror");
    let deployments: Vec<_> = cases
        .iter()
        .flat_map(|(pair, _)| pair.deployments())
        .collect();
    // Less memory than the error has bytes.
    let gateway = Setup::limited("ulimit -v 1000000", &config(&deployments, ""))
        .env("MALLOC_ARENA_MAX", "2")
        .before(&sim)
        .start()
        .await;
    for (pair, stream) in &cases {
        let what = &pair.group;
        let response = gateway.ask(what, *stream).await;
        let seen = pair.seen(&response, what);
        assert_eq!(seen, Seen::Second, "{what}");
        let record = gateway.record(response.request_id()).await;
        pair.assert_recorded(&seen, &record, "server_error", what);
        assert_eq!(record["attempts"][0]["http_status"], 500, "{what}");
        // Nobody waits for the rest.
        let gone = sim.journal().wait_for(1, |entry| {
            entry.model.starts_with(&pair.base) && entry.progress == Progress::ClientGone
        });
        within("the end of the connection", gone).await;
    }
}
