//! Calls and documents that break: each is whole, or was never delivered.

use serde_json::{Value, json};

use crate::case::{VOICES, Voice};
use crate::check::{Read, matches};
use crate::run::records;
use crate::support::{Gateway, config, deployment, post, sim};

const MORE: &str = "router_settings: {cooldown_time: 0, num_retries: 0}\naudit: {mode: async}";

fn tools() -> Value {
    let tool = |name: &str, field: &str| {
        let parameters = json!({
            "type": "object",
            "properties": {field: {"type": "string"}, "days": {"type": "integer"}},
            "required": [field, "days"],
        });
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    json!([tool("get_weather", "city"), tool("get_news", "topic")])
}

/// The calls of a stream, put together as a client does: name and arguments by their index.
fn calls(read: &Read) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    let mut ids = Vec::new();
    for delta in &read.calls {
        let index = delta["index"].as_u64().expect("an index") as usize;
        if let Some(id) = delta["id"].as_str() {
            assert_eq!(index, calls.len(), "calls come one after another: {delta}");
            assert!(!ids.contains(&id), "an id twice: {delta}");
            ids.push(id);
            calls.push(Default::default());
        }
        let (name, arguments) = calls.get_mut(index).expect("a call that was begun");
        *name += delta["function"]["name"].as_str().unwrap_or_default();
        *arguments += delta["function"]["arguments"].as_str().unwrap_or_default();
    }
    calls
}

/// At each piece of an answer with a few words and two calls, by each kind of break that ends the connection, at each
/// provider before each other.
#[tokio::test]
async fn each_call_comes_whole_and_once() {
    // Words, two calls of several pieces each, and the end.
    const LAST: usize = 20;
    let mut cases = Vec::new();
    for (a, first) in VOICES.iter().enumerate().take(3) {
        for (b, second) in VOICES.iter().enumerate() {
            for at in 0..=LAST {
                let how = ["cut", "eof", "error"][(a + b + at) % 3];
                let name = format!("{a}-{b}-{how}-{at}");
                let model = |voice: &Voice, fault: &str| {
                    format!("{}+twotools+preamble=3{fault}", voice.name())
                };
                cases.push([
                    deployment(&name, &model(first, &format!("+{how}={at}")))
                        .id(&format!("{name}/0")),
                    deployment(&name, &model(second, "")).id(&format!("{name}/1")),
                ]);
            }
        }
    }
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&cases.concat(), MORE)).await;
    let (mut failed, mut answered) = (0, Vec::new());
    for [case, _] in &cases {
        let name = case.name();
        let body = json!({
            "model": name,
            "stream": true,
            "messages": [{"role": "user", "content": "Hello"}],
            "tools": tools(),
        });
        let response = gateway.send(post(body.to_string())).await;
        let read = Read::of(&response).unwrap_or_else(|why| panic!("{name}: {why}"));
        let calls = calls(&read);
        for (_, arguments) in &calls {
            let parsed = serde_json::from_str::<Value>(arguments);
            assert!(
                parsed.is_ok_and(|it| it.is_object()),
                "{name}: half a call: {arguments}"
            );
        }
        let names: Vec<_> = calls.iter().map(|(name, _)| &**name).collect();
        if read.error.is_some() {
            failed += 1;
            read.is_an_error()
                .unwrap_or_else(|why| panic!("{name}: {why}"));
            assert!(
                ["get_weather", "get_news"].starts_with(&names),
                "{name}: {names:?}"
            );
        } else {
            assert_eq!(names, ["get_weather", "get_news"], "{name}");
            assert_eq!(read.finish, ["tool_calls"], "{name}");
            read.is_one().unwrap_or_else(|why| panic!("{name}: {why}"));
            // Whoever goes on by prefill says three words more.
            let text = backstop_sim::text("m");
            assert!(text.starts_with(&read.text), "{name}: {}", read.text);
        }
        answered.push((name, response.request_id().to_owned(), read));
    }
    let records = records(gateway).await;
    for (name, id, read) in &answered {
        matches(read, &records[id]).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    assert!(
        failed < cases.len() / 2,
        "{failed} of {} failed",
        cases.len()
    );
}

/// A document that broke is not continued: whatever is accepted as finished parses.
#[tokio::test]
async fn half_a_document_is_never_a_finished_one() {
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}, "about": {"type": "string"}},
        "required": ["city", "people", "about"],
        "additionalProperties": false,
    });
    let formats = [
        json!({"type": "json_schema", "json_schema": {"name": "place", "strict": true, "schema": schema}}),
        json!({"type": "json_object"}),
    ];
    let mut cases = Vec::new();
    for (a, first) in VOICES.iter().enumerate().take(3) {
        for how in ["cut", "eof", "error"] {
            for at in 0..10 {
                let name = format!("{a}-{how}-{at}");
                cases.push([
                    deployment(&name, &format!("{}+{how}={at}", first.name()))
                        .id(&format!("{name}/0")),
                    deployment(&name, &VOICES[(a + 1) % 3].name()).id(&format!("{name}/1")),
                ]);
            }
        }
    }
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&cases.concat(), MORE)).await;
    let (mut whole, mut broken) = (0, 0);
    for [case, _] in &cases {
        for format in &formats {
            let name = case.name();
            let body = json!({
                "model": name,
                "stream": true,
                "messages": [{"role": "user", "content": "Answer in JSON."}],
                "response_format": format,
            });
            let response = gateway.send(post(body.to_string())).await;
            let read = Read::of(&response).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(read.resumed, [], "{name}");
            if read.error.is_some() {
                broken += 1;
                read.is_an_error()
                    .unwrap_or_else(|why| panic!("{name}: {why}"));
            } else {
                whole += 1;
                assert_eq!(read.finish, ["stop"], "{name}");
                // The simulator follows a schema; asked for any object, it answers with its prose.
                let parsed = serde_json::from_str::<Value>(&read.text);
                let any = format["type"] == "json_object";
                assert!(any || parsed.is_ok(), "{name}: {}", read.text);
            }
        }
    }
    assert!(whole > 0 && broken > 0, "{whole} whole, {broken} broken");
}
