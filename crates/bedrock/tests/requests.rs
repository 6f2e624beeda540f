//! What Bedrock is asked: requests in OpenAI's format as Converse's JSON, over a socket.

mod support;

use backstop_bedrock::Bedrock;
use backstop_chat::Chat;
use backstop_core::{FailureKind, Ineligible, Reach, Trail};
use http::Request;
use serde_json::{Value, json};
use support::{CLAUDE, Reply, Server, ask, chat, failure};
use tower_service::Service;

const CLAUDE_4_6: &str = "us.anthropic.claude-sonnet-4-6";
const CLAUDE_4_7: &str = "anthropic.claude-opus-4-7";
const NOVA: &str = "amazon.nova-pro-v1:0";
const LLAMA: &str = "us.meta.llama4-scout-17b-instruct-v1:0";

async fn server() -> Server {
    let answer = json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "ok"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 1},
    });
    Server::start(Reply::json(200, &answer)).await
}

/// What arrives, and what was noted.
async fn sent(model: &str, members: Value) -> (Value, Vec<String>) {
    let server = server().await;
    let bedrock: Bedrock = server.bedrock(model).await;
    let trail = Trail::start();
    let mut request = Request::new(chat(members));
    request.extensions_mut().insert(trail.clone());
    bedrock.clone().call(request).await.expect("an answer");
    let notes = trail.snapshot().notes;
    let asked = server.asked().pop().expect("one request");
    (asked.body, notes.into_iter().map(Into::into).collect())
}

/// Why it is not asked.
async fn refused(model: &str, members: Value) -> String {
    let server = server().await;
    let error = ask(&server.bedrock(model).await, chat(members)).await;
    let failure = failure(&error.expect_err("cannot be said"));
    assert_eq!(
        failure.kind(),
        FailureKind::Ineligible(Ineligible::Capability)
    );
    assert_eq!(failure.reach(), Reach::Refused);
    assert!(server.asked().is_empty(), "nothing is sent");
    failure.detail().expect("a reason").to_owned()
}

fn user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

fn assistant(content: impl Into<Value>) -> Value {
    json!({"role": "assistant", "content": content.into()})
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}]})
}

fn result(id: &str, text: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": text})
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "description": "does f", "strict": true,
           "parameters": {"type": "object", "properties": {"q": {"type": "integer"}}}}})
}

#[tokio::test]
async fn a_plain_request() {
    let server = server().await;
    let asked = chat(json!({
        "messages": [{"role": "system", "content": "Be brief."}, user("hi")],
        "max_tokens": 7, "temperature": 0.5, "stop": "END", "user": "u-1", "metadata": {"team": "a"},
    }));
    ask(&server.bedrock(CLAUDE).await, asked)
        .await
        .expect("an answer");
    let asked = server.asked().pop().expect("one request");
    assert!(
        asked.head.starts_with(
            "POST /model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse HTTP/1.1"
        )
    );
    assert_eq!(
        asked.body,
        json!({
            "system": [{"text": "Be brief."}],
            "messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "inferenceConfig": {"maxTokens": 7, "temperature": 0.5, "stopSequences": ["END"]},
            "requestMetadata": {"user": "u-1", "team": "a"},
        })
    );
}

#[tokio::test]
async fn roles_alternate_and_blank_text_goes() {
    let (body, notes) = sent(
        NOVA,
        json!({"messages": [
            user("one"),
            {"role": "developer", "content": [{"type": "text", "text": "late"}, {"type": "text", "text": " "}]},
            user([json!({"type": "text", "text": "\n"}), json!({"type": "text", "text": "two"})]),
            assistant(""), assistant("three"), user("four"),
        ]}),
    )
    .await;
    assert_eq!(body["system"], json!([{"text": "late"}]));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"text": "one"}, {"text": "two"}]},
            {"role": "assistant", "content": [{"text": "three"}]},
            {"role": "user", "content": [{"text": "four"}]},
        ])
    );
    assert_eq!(notes, Vec::<String>::new());
}

#[tokio::test]
async fn the_user_begins() {
    let (body, notes) = sent(
        NOVA,
        json!({"messages": [assistant("Welcome!"), user("hi")]}),
    )
    .await;
    assert_eq!(
        body["messages"][0],
        json!({"role": "user", "content": [{"text": "."}]})
    );
    assert_eq!(notes.len(), 1);

    let (body, _) = sent(
        NOVA,
        json!({"messages": [{"role": "system", "content": "Write."}]}),
    )
    .await;
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": [{"text": "Write."}]}])
    );
    assert_eq!(body["system"], Value::Null);

    refused(NOVA, json!({"messages": [user(" ")]})).await;
}

#[tokio::test]
async fn a_prefill_only_where_it_is_continued() {
    let prefill = || json!({"messages": [user("hi"), assistant("Once upon \n")]});
    let (body, notes) = sent(CLAUDE, prefill()).await;
    assert_eq!(
        body["messages"][1]["content"],
        json!([{"text": "Once upon"}])
    );
    assert_eq!(notes.len(), 1, "the seam is said to have moved");
    for model in [CLAUDE_4_6, CLAUDE_4_7, NOVA] {
        assert!(refused(model, prefill()).await.contains("go on"), "{model}");
    }
}

#[tokio::test]
async fn images_inline_only() {
    let image = |url: &str| json!({"messages": [user([json!({"type": "image_url", "image_url": {"url": url}})])]});
    let (body, _) = sent(CLAUDE, image("data:image/png;base64,iVBORw0KGgo=")).await;
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}])
    );
    assert!(
        refused(CLAUDE, image("https://example.com/cat.png"))
            .await
            .contains("no URLs")
    );
    assert!(
        refused(CLAUDE, image("data:image/tiff;base64,AAAA"))
            .await
            .contains("png")
    );
    assert!(
        refused(CLAUDE, image("data:image/png;base64,%%%"))
            .await
            .contains("base64")
    );
    let many =
        vec![json!({"type": "image_url", "image_url": {"url": "data:image/gif;base64,AAAA"}}); 21];
    assert!(
        refused(CLAUDE, json!({"messages": [user(many)]}))
            .await
            .contains("20")
    );
}

#[tokio::test]
async fn tools_and_their_choice() {
    let with = |choice: Value| json!({"tools": [tool()], "tool_choice": choice});
    let (body, _) = sent(CLAUDE, with(json!("auto"))).await;
    assert_eq!(
        body["toolConfig"],
        json!({"tools": [{"toolSpec": {
            "name": "f", "description": "does f", "strict": true,
            "inputSchema": {"json": {"type": "object", "properties": {"q": {"type": "integer"}}}},
        }}]})
    );
    let (body, _) = sent(CLAUDE, with(json!("required"))).await;
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"any": {}}));
    let (body, _) = sent(
        CLAUDE,
        with(json!({"type": "function", "function": {"name": "f"}})),
    )
    .await;
    assert_eq!(
        body["toolConfig"]["toolChoice"],
        json!({"tool": {"name": "f"}})
    );
    let (body, _) = sent(CLAUDE, with(json!("none"))).await;
    assert_eq!(
        body["toolConfig"],
        Value::Null,
        "nothing was called, nothing may be"
    );

    let (body, notes) = sent(NOVA, with(json!("auto"))).await;
    assert_eq!(
        body["toolConfig"]["tools"][0]["toolSpec"]["strict"],
        Value::Null
    );
    assert_eq!(notes, ["strict tools dropped"]);
    assert!(
        refused(LLAMA, with(json!("required")))
            .await
            .contains("made to call")
    );
}

#[tokio::test]
async fn one_call_at_a_time() {
    let (body, _) = sent(
        CLAUDE,
        json!({"tools": [tool()], "parallel_tool_calls": false}),
    )
    .await;
    assert_eq!(
        body["additionalModelRequestFields"]["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
    let forced =
        json!({"tools": [tool()], "parallel_tool_calls": false, "tool_choice": "required"});
    let (body, notes) = sent(CLAUDE, forced).await;
    assert_eq!(body["additionalModelRequestFields"], Value::Null);
    assert_eq!(notes, ["parallel_tool_calls dropped"]);
}

#[tokio::test]
async fn calls_and_results() {
    let long = "call_".repeat(40);
    let (body, notes) = sent(
        CLAUDE,
        json!({"tools": [tool()], "messages": [
            user("hi"), call("call_1", "{\"q\": 1}"), user("and?"), result("call_1", "42"),
            call(&long, "{not json"), result(&long, ""), call("c", ""), result("c", "done"),
        ]}),
    )
    .await;
    let messages = &body["messages"];
    assert_eq!(
        messages[1]["content"],
        json!([{"toolUse": {"toolUseId": "call_1", "name": "f", "input": {"q": 1}}}])
    );
    assert_eq!(
        messages[2]["content"],
        json!([{"toolResult": {"toolUseId": "call_1", "content": [{"text": "42"}]}}, {"text": "and?"}]),
        "results come first"
    );
    let wrapped = &messages[3]["content"][0]["toolUse"];
    assert_eq!(wrapped["input"], json!({"arguments": "{not json"}));
    let answered = &messages[4]["content"][0]["toolResult"];
    assert_eq!(
        wrapped["toolUseId"], answered["toolUseId"],
        "call and result agree"
    );
    assert!(
        wrapped["toolUseId"]
            .as_str()
            .is_some_and(|id| id.len() <= 64)
    );
    assert_eq!(
        answered["content"],
        json!([{"json": {}}]),
        "blank text is refused"
    );
    assert_eq!(messages[5]["content"][0]["toolUse"]["input"], json!({}));
    assert_eq!(
        notes,
        ["tool arguments that are no JSON object wrapped in one"]
    );
}

#[tokio::test]
async fn calls_of_the_past_need_tools_that_may_not_be_called() {
    let history = json!([user("hi"), call("c", "{}"), result("c", "42")]);
    let (body, _) = sent(CLAUDE, json!({"messages": history})).await;
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "f");
    assert!(
        body["system"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("Do not call"))
    );

    let (body, _) = sent(
        CLAUDE,
        json!({"messages": history, "tools": [tool()], "tool_choice": "none"}),
    )
    .await;
    assert_eq!(
        body["toolConfig"]["tools"][0]["toolSpec"]["description"],
        "does f"
    );
    assert!(
        body["system"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("Do not call"))
    );
}

#[tokio::test]
async fn sampling_by_model() {
    let both = || json!({"temperature": 1.7, "top_p": 0.9});
    let (body, notes) = sent(NOVA, both()).await;
    assert_eq!(body["inferenceConfig"]["temperature"], 1.0);
    assert!(
        body["inferenceConfig"]["topP"]
            .as_f64()
            .is_some_and(|it| (it - 0.9).abs() < 1e-6)
    );
    assert_eq!(notes, ["temperature lowered to 1"]);

    let (body, notes) = sent(CLAUDE, both()).await;
    assert_eq!(body["inferenceConfig"], json!({"temperature": 1.0}));
    assert_eq!(notes.len(), 2);

    let (body, notes) = sent(CLAUDE_4_7, both()).await;
    assert_eq!(body["inferenceConfig"], Value::Null);
    assert_eq!(notes, ["temperature and top_p dropped"]);
    let (_, notes) = sent(CLAUDE_4_7, json!({"temperature": 1, "top_p": 1})).await;
    assert_eq!(notes, Vec::<String>::new(), "the default says nothing");
}

#[tokio::test]
async fn effort_by_model() {
    let effort =
        |effort: &str| json!({"reasoning_effort": effort, "temperature": 0.2, "max_tokens": 9000});
    let (body, notes) = sent(CLAUDE, effort("high")).await;
    assert_eq!(
        body["additionalModelRequestFields"],
        json!({"thinking": {"type": "enabled", "budget_tokens": 4500}})
    );
    assert_eq!(
        notes,
        ["temperature and top_p dropped"],
        "thinking excludes them"
    );
    let (body, _) = sent(CLAUDE, json!({"reasoning_effort": "medium"})).await;
    assert_eq!(
        body["additionalModelRequestFields"]["thinking"]["budget_tokens"],
        json!(8192),
        "as much as Anthropic itself is asked for"
    );
    let (body, notes) = sent(
        CLAUDE,
        json!({"reasoning_effort": "low", "max_tokens": 100}),
    )
    .await;
    assert_eq!(body["additionalModelRequestFields"], Value::Null);
    assert_eq!(notes.len(), 1);

    let (body, _) = sent(CLAUDE_4_6, effort("xhigh")).await;
    assert_eq!(body["outputConfig"], json!({"effort": "high"}));
    let thinking = json!({"thinking": {"type": "adaptive"}});
    assert_eq!(body["additionalModelRequestFields"], thinking);
    let (body, _) = sent(CLAUDE_4_7, effort("xhigh")).await;
    assert_eq!(body["outputConfig"], json!({"effort": "xhigh"}));

    let (body, _) = sent("openai.gpt-oss-120b-1:0", effort("max")).await;
    assert_eq!(
        body["additionalModelRequestFields"],
        json!({"reasoning_effort": "high"})
    );
    let (body, _) = sent("us.amazon.nova-2-lite-v1:0", effort("minimal")).await;
    assert_eq!(
        body["additionalModelRequestFields"],
        json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}})
    );
    let (body, notes) = sent(LLAMA, effort("high")).await;
    assert_eq!(body["additionalModelRequestFields"], Value::Null);
    assert_eq!(notes, ["reasoning_effort dropped: the model has none"]);
    let (body, notes) = sent(CLAUDE, effort("none")).await;
    assert_eq!(
        (&body["additionalModelRequestFields"], notes.len()),
        (&Value::Null, 0)
    );
}

#[tokio::test]
async fn a_response_format() {
    let schema = r#"{"type": "object", "properties": {"z": {}, "a": {}}}"#;
    let format = || {
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}})
    };
    let (body, _) = sent(CLAUDE, format()).await;
    let sent_format = &body["outputConfig"]["textFormat"];
    assert_eq!(sent_format["type"], "json_schema");
    let definition = &sent_format["structure"]["jsonSchema"];
    assert_eq!(definition["name"], "n");
    let text = definition["schema"].as_str().expect("text");
    assert_eq!(
        serde_json::from_str::<Value>(text).expect("JSON"),
        json!({"type": "object", "properties": {"z": {}, "a": {}}})
    );
    assert!(refused(NOVA, format()).await.contains("schema"));

    let (body, notes) = sent(NOVA, json!({"response_format": {"type": "json_object"}})).await;
    assert_eq!(body["outputConfig"], Value::Null);
    assert_eq!(notes, ["response_format json_object dropped"]);
}

#[tokio::test]
async fn what_has_no_place_is_noted() {
    let (_, notes) = sent(
        NOVA,
        json!({"seed": 1, "logprobs": true, "top_logprobs": 2, "presence_penalty": 0.1, "service_tier": "flex",
               "stop": [" ", "x"], "metadata": {"k": "ümlaut"}}),
    )
    .await;
    assert_eq!(notes.len(), 7, "{notes:?}");
    let (_, notes) = sent(
        NOVA,
        json!({"logprobs": false, "n": 1, "frequency_penalty": 0, "service_tier": "auto", "unknown_to_us": {}}),
    )
    .await;
    assert_eq!(notes, Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_said() {
    for members in [
        json!({"n": 2}),
        json!({"audio": {"voice": "alloy", "format": "wav"}}),
        json!({"functions": [{"name": "f", "parameters": {}}]}),
        json!({"messages": [user([json!({"type": "input_audio", "input_audio": {}})])]}),
        json!({"messages": [user([json!({"type": "file", "file": {}})])]}),
        json!({"messages": [user([json!({"type": "hologram"})])]}),
        json!({"messages": [{"role": "function", "name": "f", "content": "x"}]}),
        json!({"tools": [{"type": "custom", "custom": {}}]}),
        json!({"tools": [tool()], "tool_choice": {"type": "allowed_tools"}}),
    ] {
        refused(CLAUDE, members).await;
    }
}

#[tokio::test]
async fn a_hidden_model_can_be_named() {
    let server = server().await;
    let hidden = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123";
    let bedrock = server.bedrock(hidden).await;
    let prefill = || chat(json!({"messages": [user("hi"), assistant("Once")]}));
    ask(&bedrock, prefill())
        .await
        .expect_err("who knows what it is");
    ask(&bedrock.base_model(CLAUDE), prefill())
        .await
        .expect("it goes on");
    let asked = server.asked().pop().expect("one request");
    assert!(
        asked
            .head
            .contains("application-inference-profile%2Fabc123"),
        "{}",
        asked.head
    );
}

#[tokio::test]
async fn a_request_that_only_a_translation_finds_wrong() {
    let server = server().await;
    let wrong = Chat::parse(
        r#"{"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [{"type": 1}]}"#,
    );
    let error = ask(
        &server.bedrock(CLAUDE).await,
        wrong.expect("well enough for layers"),
    )
    .await;
    let failure = failure(&error.expect_err("a wrong type"));
    assert_eq!(
        (failure.kind(), failure.reach()),
        (FailureKind::BadRequest, Reach::Refused)
    );
}
