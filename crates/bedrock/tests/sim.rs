//! Against the simulator, which refuses what Bedrock would and has its own reading of the wire format.

mod support;

use backstop_bedrock::{Bedrock, Settings};
use backstop_chat::{Continue, Continued, Modes};
use backstop_core::{FailureKind, Ineligible, Trail};
use backstop_sim::Sim;
use http::Request;
use serde_json::{Value, json};
use support::{KEY, SECRET, ask, chat, failure, read, text};
use tower_service::Service;

const CLAUDE: &str = "anthropic.claude-haiku-4-5-20251001-v1:0";

async fn sim() -> Sim {
    Sim::bind("127.0.0.1:0").await.expect("loopback")
}

async fn bedrock(sim: &Sim, model: &str) -> Bedrock {
    let aws = Settings::new()
        .region("us-east-1")
        .credentials(KEY, SECRET.into())
        .endpoint_url(sim.bedrock());
    Bedrock::new(&aws.client().await.expect("usable"), model)
}

/// The text of the answer, or how it failed.
async fn said(bedrock: &Bedrock, members: Value) -> Result<String, FailureKind> {
    let stream = members["stream"] == true;
    let response = ask(bedrock, chat(members)).await;
    let response = response.map_err(|error| failure(&error).kind())?;
    let (chunks, end) = read(response).await;
    end.map_err(|error| failure(&error).kind())?;
    if stream {
        return Ok(text(&chunks));
    }
    let document = support::json(&chunks[0]);
    let content = &document["choices"][0]["message"]["content"];
    Ok(content.as_str().expect("text").to_owned())
}

#[tokio::test]
async fn the_whole_script_streamed_or_not() {
    let sim = sim().await;
    for style in ["ascii", "multibyte", "emoji", "crlf"] {
        let model = format!("{CLAUDE}+text={style}");
        let bedrock = bedrock(&sim, &model).await;
        let whole = backstop_sim::text(&model);
        for stream in [false, true] {
            let said = said(&bedrock, json!({"stream": stream})).await;
            assert_eq!(said.as_deref(), Ok(&*whole), "{style}");
        }
    }
}

#[tokio::test]
async fn a_prefill_is_gone_on_from() {
    let sim = sim().await;
    let bedrock = bedrock(&sim, CLAUDE).await;
    let whole = backstop_sim::text(CLAUDE);
    let begun = whole[..40].trim_end();
    let messages =
        json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": begun}]);
    let rest = said(&bedrock, json!({"messages": messages, "stream": true})).await;
    assert_eq!(rest.as_deref(), Ok(&whole[begun.len()..]));
}

#[tokio::test]
async fn tools_there_and_back() {
    let sim = sim().await;
    let bedrock = bedrock(&sim, &format!("{CLAUDE}+twotools")).await;
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let tools = json!([tool("f"), tool("g")]);
    let asked = chat(json!({"tools": tools}));
    let (chunks, end) = read(ask(&bedrock, asked).await.expect("an answer")).await;
    end.expect("a whole answer");
    let message = support::json(&chunks[0])["choices"][0]["message"].clone();
    let calls = message["tool_calls"].as_array().expect("calls").clone();
    assert_eq!(calls.len(), 2);

    let mut messages = vec![json!({"role": "user", "content": "hi"}), message];
    messages.extend(
        calls
            .iter()
            .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "done"})),
    );
    let answer = said(
        &bedrock,
        json!({"tools": tools, "messages": messages, "stream": true}),
    )
    .await;
    assert!(
        answer.is_ok_and(|text| !text.is_empty()),
        "the results are understood"
    );
}

#[tokio::test]
async fn json_is_no_stream() {
    let sim = sim().await;
    let bedrock = bedrock(&sim, &format!("{CLAUDE}+wrongtype")).await;
    let failed = said(&bedrock, json!({"stream": true})).await;
    assert_eq!(failed, Err(FailureKind::ServerError));
}

#[tokio::test]
async fn faults_by_kind() {
    use FailureKind::*;
    let sim = sim().await;
    for (fault, whole, stream) in [
        ("500", ServerError, ServerError),
        ("503", Overloaded, Overloaded),
        ("504", Timeout, Timeout),
        ("429", RateLimit, RateLimit),
        ("401", Auth, Auth),
        ("403", Permission, Permission),
        ("404", ModelNotFound, ModelNotFound),
        ("400", BadRequest, BadRequest),
        ("quota", QuotaExhausted, QuotaExhausted),
        ("context", ContextWindow, ContextWindow),
        ("reset", Network, Network),
        ("hugeerror", ServerError, ServerError),
        // Garbage in a stream begins with the length of a frame that does not come.
        ("garbage", ServerError, Network),
        ("html", ServerError, ServerError),
        ("cut=3", Network, Network),
        ("cutat=60", Network, Network),
        // Half a document that ends cleanly is no document.
        ("eof=3", ServerError, Network),
        ("error=3", ServerError, ServerError),
        ("error=3+429", RateLimit, RateLimit),
        ("garbage=3", ServerError, ServerError),
        ("truncated", Network, Network),
        ("empty", ServerError, Network),
    ] {
        let bedrock = bedrock(&sim, &format!("{CLAUDE}+{fault}")).await;
        let failed = said(&bedrock, json!({})).await;
        assert_eq!(failed, Err(whole), "{fault}");
        let failed = said(&bedrock, json!({"stream": true})).await;
        assert_eq!(failed, Err(stream), "{fault}, streamed");
    }
}

/// The rest of an answer of which so much is `delivered`, how it goes on, and whether a prefill was refused.
async fn rest(
    bedrock: &Bedrock,
    stream: bool,
    delivered: &str,
    modes: Modes,
) -> Result<(String, &'static str, bool), FailureKind> {
    let trail = Trail::start();
    let mut request = Request::new(chat(json!({"stream": stream, "max_tokens": 1000})));
    let extensions = request.extensions_mut();
    extensions.insert(Continue::new(delivered, 20, "another", modes));
    extensions.insert(trail.clone());
    let response = bedrock.clone().call(request).await;
    let response = response.map_err(|error| failure(&error).kind())?;
    let mode = response
        .extensions()
        .get::<Continued>()
        .expect("it says how")
        .0;
    let (chunks, end) = read(response).await;
    end.map_err(|error| failure(&error).kind())?;
    let said = if stream {
        text(&chunks)
    } else {
        let document = support::json(&chunks[0]);
        let content = &document["choices"][0]["message"]["content"];
        content.as_str().unwrap_or_default().to_owned()
    };
    let notes = trail.snapshot().notes;
    let refused = notes.iter().any(|note| note.contains("refuses a prefill"));
    Ok((said, mode.as_str(), refused))
}

const ALL: Modes = Modes {
    prefill: true,
    replay: true,
    prompted: true,
};

#[tokio::test]
async fn a_begun_answer_is_gone_on_from_at_any_place() {
    let sim = sim().await;
    for (profile, style) in [("eu.", "crlf"), ("us.", "code"), ("global.", "emoji")] {
        let model = format!("{profile}{CLAUDE}+tokens=20+text={style}");
        let bedrock = bedrock(&sim, &model).await;
        let whole = backstop_sim::text(&model);
        let places = whole.char_indices().map(|(at, _)| at);
        for place in places.filter(|at| !whole[..*at].trim().is_empty()) {
            let rest = rest(&bedrock, true, &whole[..place], ALL).await;
            let expected = whole[whole[..place].trim_end().len()..].to_owned();
            assert_eq!(rest, Ok((expected, "prefill", false)), "{style} at {place}");
        }
    }
}

#[tokio::test]
async fn a_model_that_refuses_a_prefill_is_prompted_at_once() {
    let sim = sim().await;
    let whole = backstop_sim::text(CLAUDE);
    for stream in [false, true] {
        sim.journal().clear();
        let bedrock = bedrock(&sim, &format!("{CLAUDE}+noprefill")).await;
        for (first, asked) in [(true, 2), (false, 3)] {
            let rest = rest(&bedrock, stream, &whole[..100], ALL).await;
            assert_eq!(rest, Ok((whole.clone(), "prompted", first)));
            let entries = sim.journal().entries();
            assert_eq!(entries.len(), asked, "it is not tried again");
        }
        let last = &sim.journal().entries()[2].body;
        let last: Value = serde_json::from_slice(last).expect("JSON");
        assert_eq!(
            last["inferenceConfig"]["maxTokens"], 1000,
            "all of it is said again"
        );
    }
    let exact = Modes {
        prompted: false,
        ..ALL
    };
    let refusing = bedrock(&sim, &format!("{CLAUDE}+noprefill")).await;
    let refused = rest(&refusing, true, "A bridge", exact).await;
    let incapable = FailureKind::Ineligible(Ineligible::Capability);
    assert_eq!(refused, Err(incapable));
}
