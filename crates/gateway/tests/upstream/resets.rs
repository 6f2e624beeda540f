//! A connection that is reset at any byte of an answer.

use std::collections::{BTreeSet, HashMap};

use backstop_sim::{Outage, Progress, Provider, Sim};
use futures_util::future::join_all;

use crate::pair::{Pair, Seen, form};
use crate::support::{Gateway, config, sim};

/// How many requests are under way at a time, each for its own deployments.
const LANES: usize = 4;

/// Resets the first deployment's answer after `lane` bytes, `lane + LANES` bytes, and so on to its end, and returns
/// what was seen of each, by the request's id.
async fn resets(
    sim: &Sim,
    gateway: &Gateway,
    pair: &Pair,
    stream: bool,
    lane: usize,
) -> Vec<(String, Seen)> {
    let (mut all, mut seq) = (Vec::new(), 0);
    for bytes in (lane..).step_by(LANES) {
        let cut = Outage::new(pair.provider, format!("cutat={bytes}")).expect("a fault");
        sim.faults().begin(cut.model(&pair.base));
        let response = gateway.ask(&pair.group, stream).await;
        let what = format!("{} cut at {bytes}", pair.group);
        let seen = pair.seen(&response, &what);
        assert!(
            stream || !matches!(seen, Seen::Broken { .. }),
            "nothing was promised: {what}"
        );
        all.push((response.request_id().to_owned(), seen));
        // None if the connection of an answer that was reset behind its end was taken for another call.
        if let Some(call) = pair.calls(sim, seq).await.pop() {
            if call.progress == Progress::Finished {
                break;
            }
            seq = call.seq;
        }
    }
    let (_, last) = all.last().expect("at least one");
    assert_eq!(*last, Seen::First, "nothing was cut off: {}", pair.group);
    all
}

async fn at_any_byte(provider: Provider, stream: bool) {
    let sim = sim().await;
    let lane = |lane: usize| {
        let group = format!("lane{lane}-{}-{}", provider.name(), form(stream));
        Pair::new(&group, provider, "tokens=2")
    };
    let pairs: Vec<_> = (0..LANES).map(lane).collect();
    let deployments: Vec<_> = pairs.iter().flat_map(Pair::deployments).collect();
    // Circuits would open, another one would go on, and records that are waited for would take their time.
    let more =
        "router_settings: {cooldown_time: 0, mid_stream: {max_resumes: 0}}\naudit: {mode: async}";
    let gateway = Gateway::start(&sim, &config(&deployments, more)).await;
    let lanes = pairs.iter().enumerate();
    let lanes = lanes.map(|(lane, pair)| resets(&sim, &gateway, pair, stream, lane));
    let seen = join_all(lanes).await;

    let mut begun = BTreeSet::new();
    for (_, seen) in seen.iter().flatten() {
        if let Seen::Broken { text, code } = seen {
            assert_eq!(code, "upstream_error");
            begun.insert(text.clone());
        }
    }
    let promised = if stream {
        vec!["A".to_owned(), "A bridge".to_owned()]
    } else {
        Vec::new()
    };
    assert_eq!(Vec::from_iter(begun), promised, "each beginning was seen");

    let records = gateway.stop().await.records();
    let records: HashMap<_, _> = records
        .iter()
        .map(|record| (record["request_id"].as_str(), record))
        .collect();
    for (pair, seen) in pairs.iter().zip(&seen) {
        for (id, seen) in seen {
            pair.assert_recorded(seen, records[&Some(&**id)], "network", &pair.group);
        }
    }
}

#[tokio::test]
async fn an_answer_of_openai() {
    at_any_byte(Provider::OpenAi, false).await;
}

#[tokio::test]
async fn a_stream_of_openai() {
    at_any_byte(Provider::OpenAi, true).await;
}

#[tokio::test]
async fn an_answer_of_anthropic() {
    at_any_byte(Provider::Anthropic, false).await;
}

#[tokio::test]
async fn a_stream_of_anthropic() {
    at_any_byte(Provider::Anthropic, true).await;
}

#[tokio::test]
async fn an_answer_of_bedrock() {
    at_any_byte(Provider::Bedrock, false).await;
}

#[tokio::test]
async fn a_stream_of_bedrock() {
    at_any_byte(Provider::Bedrock, true).await;
}
