//! Streams: whole ones, ones that break off or are let go, and ones that go on.

use backstop_sim::Progress;
use serde_json::{Value, json};

use crate::books::{Books, ROOM, priced};
use crate::question;
use crate::support::{Client, Gateway, Response, config, sim, within};

const PROVIDER: Option<&str> = Some("provider");
const PARTIAL: Option<&str> = Some("partial");
const ESTIMATE: Option<&str> = Some("estimate");

/// What a client is told of tokens at the end of a stream.
fn usage(response: &Response) -> Value {
    let lines = response.text().lines();
    let data = lines.filter_map(|line| line.strip_prefix("data: "));
    let mut chunks = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks
        .rfind(|chunk| chunk["usage"].is_object())
        .map_or(Value::Null, |chunk| chunk["usage"].clone())
}

fn streamed() -> Value {
    json!({"stream": true, "max_tokens": 100})
}

#[tokio::test]
async fn a_whole_stream_costs_what_its_provider_counts() {
    let sim = sim().await;
    let models = [
        ("openai", "openai/gpt-4o+cached=11"),
        (
            "anthropic",
            "anthropic/claude-sonnet-4-6+cached=101+written=203+written1h=77",
        ),
        (
            "bedrock",
            "bedrock/anthropic.claude-sonnet-4-6+cached=101+written=203+written1h=77",
        ),
    ];
    let deployments = models.map(|(group, model)| priced(group, model));
    let gateway = Gateway::start(&sim, &config(&deployments, ROOM)).await;
    let mut books = Books::of(&gateway);
    for (group, _) in models {
        for told in [true, false] {
            let mut body = streamed();
            body["stream_options"] = json!({"include_usage": told});
            let response = gateway.send(question(group, &body)).await;
            let record = gateway.record(response.request_id()).await;
            books.enter(&record, &[PROVIDER]).await;
            assert_eq!(
                record["usage"]["output"], 64,
                "{group}: one a token of the text"
            );
            let usage = usage(&response);
            if told {
                assert_eq!(usage["prompt_tokens"], record["usage"]["input"], "{group}");
                assert_eq!(usage["completion_tokens"], 64, "{group}");
            } else {
                assert_eq!(
                    usage,
                    Value::Null,
                    "{group}: nobody asked, and yet it is known"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_costs_what_came_of_it() {
    let sim = sim().await;
    let breaks = ["eof=5", "error=5", "cut=5", "stall=5", "garbage=5"];
    let voices = [
        // It tells tokens at the end, which did not come.
        ("openai", "openai/gpt-4o", ESTIMATE),
        // It tells those of the prompt at the beginning.
        (
            "anthropic",
            "anthropic/claude-sonnet-4-6+cached=11",
            PARTIAL,
        ),
        // It goes on for nobody, and bills for all of it.
        ("bedrock", "bedrock/anthropic.claude-sonnet-4-6", ESTIMATE),
    ];
    let cases: Vec<_> = voices
        .into_iter()
        .flat_map(|voice| breaks.map(|fault| (voice, fault)))
        .map(|((name, model, source), fault)| {
            let group = format!("{name}-{fault}");
            let deployment = priced(&group, &format!("{model}+{fault}")).id(&group);
            let deployment = deployment
                .param("stream_timeout: 0.3")
                .param("mid_stream: off");
            (group, deployment, name, fault, source)
        })
        .collect();
    let deployments: Vec<_> = cases
        .iter()
        .map(|(_, deployment, ..)| deployment.clone())
        .collect();
    let gateway = Gateway::start(&sim, &config(&deployments, ROOM)).await;
    let mut books = Books::of(&gateway);
    for (group, _, name, fault, source) in &cases {
        let response = gateway.send(question(group, &streamed())).await;
        assert!(
            response.answer().error.is_some(),
            "{group}: {}",
            response.text()
        );
        let record = gateway.record(response.request_id()).await;
        books.enter(&record, &[*source]).await;
        let took = &record["attempts"][0]["usage"];
        // What a reset overtakes on its way does not come.
        match *name {
            "bedrock" => assert_eq!(took["output"], 100, "{group}: as much as it may have been"),
            _ if *fault == "cut=5" => assert!(took["output"].as_u64() <= Some(5), "{group}"),
            _ => assert_eq!(took["output"], 5, "{group}"),
        }
        assert!(took["input"].as_u64() >= Some(5), "{group}: {took}");
    }
}

#[tokio::test]
async fn a_stream_that_is_let_go_costs_what_came_of_it() {
    let sim = sim().await;
    let voices = [
        ("openai", "openai/gpt-4o+stall=5", ESTIMATE),
        ("anthropic", "anthropic/claude-sonnet-4-6+stall=5", PARTIAL),
        (
            "bedrock",
            "bedrock/anthropic.claude-sonnet-4-6+stall=5",
            ESTIMATE,
        ),
    ];
    let deployments = voices.map(|(group, model, _)| priced(group, model));
    let gateway = Gateway::start(&sim, &config(&deployments, ROOM)).await;
    let mut books = Books::of(&gateway);
    for (group, _, source) in voices {
        let mut client = Client::connect(gateway.addr()).await;
        let mut stream = client.start(question(group, &streamed())).await;
        let id = stream.headers()["x-backstop-request-id"]
            .to_str()
            .expect("text")
            .to_owned();
        let mut seen = String::new();
        while seen.matches("\"content\":\"").count()
            < 5 + usize::from(seen.contains("\"content\":\"\""))
        {
            let bytes = stream.next().await.expect("more");
            seen += std::str::from_utf8(&bytes).expect("text");
        }
        drop((stream, client));
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], "cancelled", "{group}");
        books.enter(&record, &[source]).await;
        let output = if group == "bedrock" { 100 } else { 5 };
        assert_eq!(record["usage"]["output"], output, "{group}");
    }
}

#[tokio::test]
async fn whoever_leaves_before_an_answer_pays_for_all_that_it_may_have_been() {
    let sim = sim().await;
    let voices = [
        ("openai", "openai/gpt-4o+hang"),
        ("anthropic", "anthropic/claude-sonnet-4-6+hang"),
        ("bedrock", "bedrock/anthropic.claude-sonnet-4-6+hang"),
    ];
    let deployments = voices.map(|(group, model)| priced(group, model));
    let gateway = Gateway::start(&sim, &config(&deployments, ROOM)).await;
    let mut books = Books::of(&gateway);
    let mut calls = 0;
    for (group, _) in voices {
        for stream in [false, true] {
            let mut client = Client::connect(gateway.addr()).await;
            let body = json!({"stream": stream, "max_tokens": 100});
            let waiting = client.begin(question(group, &body)).await;
            calls += 1;
            within("the call", sim.journal().wait_for(calls, |_| true)).await;
            drop((waiting, client));
            let records = gateway.records(calls).await;
            let record = records.last().expect("one");
            assert_eq!(record["outcome"], "cancelled", "{group}");
            books.enter(record, &[ESTIMATE]).await;
            assert_eq!(record["usage"]["output"], 100, "{group}");
        }
    }
    let gone = |entry: &backstop_sim::Entry| entry.progress == Progress::ClientGone;
    within("their ends", sim.journal().wait_for(calls, gone)).await;
}

#[tokio::test]
async fn a_stream_that_goes_on_costs_the_sum_of_its_parts() {
    let sim = sim().await;
    // A model, its deployments, and who counted the tokens of each.
    let cases = [
        (
            "two",
            vec!["openai/gpt-4o+eof=20", "anthropic/claude-sonnet-4-5"],
            vec![ESTIMATE, PROVIDER],
        ),
        (
            "three",
            vec![
                "openai/gpt-4o+eof=20",
                "anthropic/claude-sonnet-4-5+error=20",
                "bedrock/anthropic.claude-sonnet-4-5",
            ],
            vec![ESTIMATE, PARTIAL, PROVIDER],
        ),
        (
            "prompted",
            vec!["anthropic/claude-sonnet-4-6+error=20", "openai/gpt-4o"],
            vec![PARTIAL, PROVIDER],
        ),
        (
            "billed",
            vec![
                "bedrock/anthropic.claude-sonnet-4-6+error=20",
                "openai/gpt-4o",
            ],
            vec![ESTIMATE, PROVIDER],
        ),
        (
            // The second is never reached by the first part: it fails, and costs nothing.
            "past",
            vec![
                "openai/gpt-4o+eof=20",
                "anthropic/claude-sonnet-4-5+500",
                "bedrock/anthropic.claude-sonnet-4-5",
            ],
            vec![ESTIMATE, None, PROVIDER],
        ),
    ];
    let deployments: Vec<_> = cases
        .iter()
        .flat_map(|(group, models, _)| {
            let models = models.iter().enumerate();
            models.map(move |(place, model)| priced(group, model).id(&format!("{group}/{place}")))
        })
        .collect();
    let settings = format!("{ROOM}router_settings: {{num_retries: 0}}\n");
    let gateway = Gateway::start(&sim, &config(&deployments, &settings)).await;
    let mut books = Books::of(&gateway);
    for (group, _, sources) in &cases {
        let mut body = streamed();
        body["stream_options"] = json!({"include_usage": true});
        let response = gateway.send(question(group, &body)).await;
        let answer = response.answer();
        assert_eq!(answer.text, backstop_sim::text("m"), "{group}");
        assert_eq!(answer.error, None, "{group}");
        let record = gateway.record(response.request_id()).await;
        books.enter(&record, sources).await;
        // Of a part that broke off, the client reads what it has of it, not what may be billed.
        let parts = record["attempts"].as_array().expect("a list");
        let broken = record["resumes"].as_array().expect("a list").len() as u64;
        let last = parts.last().expect("one")["usage"]["output"].as_u64();
        assert_eq!(
            usage(&response)["completion_tokens"].as_u64(),
            last.map(|last| 20 * broken + last),
            "{group}"
        );
    }
}
