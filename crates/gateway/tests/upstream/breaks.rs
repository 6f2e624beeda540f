//! Streams that end in the middle.

use crate::pair::{PROVIDERS, Pair, Seen};
use crate::support::{Gateway, config, sim};

#[tokio::test]
async fn a_stream_that_breaks_says_so_behind_what_was_said() {
    let sim = sim().await;
    let mut cases = Vec::new();
    for provider in PROVIDERS {
        // How it breaks, in the simulator's words; the failure; its code. Anthropic's own error is `Overloaded`.
        let own = match provider.name() {
            "anthropic" => ("overloaded", "upstream_overloaded"),
            _ => ("server_error", "upstream_error"),
        };
        let breaks = [
            ("cut", "", "network", "upstream_error"),
            ("eof", "", "network", "upstream_error"),
            ("stall", "", "timeout", "upstream_timeout"),
            ("error", "", own.0, own.1),
            ("error", "+500", "server_error", "upstream_error"),
            ("error", "+529", "overloaded", "upstream_overloaded"),
            ("error", "+429", "rate_limit", "rate_limit_exceeded"),
        ];
        for (how, more, kind, code) in breaks {
            for after in [1, 2, 5] {
                let group = format!(
                    "{how}-{after}{}-{}",
                    more.replace('+', "-"),
                    provider.name()
                );
                let faults = format!("tokens=5+{how}={after}{more}");
                cases.push((Pair::new(&group, provider, &faults), after, kind, code));
            }
        }
        // In the middle of the third chunk.
        let group = format!("truncated-{}", provider.name());
        let pair = Pair::new(&group, provider, "tokens=5+truncated");
        cases.push((pair, 2, "network", "upstream_error"));
    }
    let deployments = cases.iter().flat_map(|(pair, _, kind, _)| {
        let [first, second] = pair.deployments();
        let first = if *kind == "timeout" {
            first.param("stream_timeout: 0.2")
        } else {
            first
        };
        [first, second]
    });
    // That another one goes on is tested elsewhere.
    let alone = "router_settings: {mid_stream: {max_resumes: 0}}";
    let gateway = Gateway::start(&sim, &config(&deployments.collect::<Vec<_>>(), alone)).await;
    for (pair, after, kind, code) in &cases {
        let what = &pair.group;
        let response = gateway.ask(what, true).await;
        let seen = pair.seen(&response, what);
        let text = backstop_sim::text(&format!("m+tokens={after}"));
        assert_eq!(
            seen,
            Seen::Broken {
                text,
                code: (*code).to_owned()
            },
            "{what}"
        );
        assert_eq!(pair.calls(&sim, 0).await.len(), 1, "{what}");
        let record = gateway.record(response.request_id()).await;
        pair.assert_recorded(&seen, &record, kind, what);
        assert_eq!(record["attempts"][0]["http_status"], 200, "{what}");
    }
}
