"""boto3 accepts the simulator's Converse and ConverseStream, and takes its faults for its own exceptions."""

import base64
import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EventStreamError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from conftest import PNG
from urllib3.exceptions import HTTPError

MODEL = "us.anthropic.claude-sonnet-4-6-v1:0"
HELLO = [{"role": "user", "content": [{"text": "Hello"}]}]
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": name,
                "description": f"Calls {name}.",
                "inputSchema": {
                    "json": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                    }
                },
            }
        }
        for name in ("get_weather", "get_news")
    ]
}


def connect(sim, key="AKIASIM", **config):
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=f"{sim}/bedrock",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture(scope="session")
def client(sim):
    return connect(sim, read_timeout=20)


def converse(client, model=MODEL, **more):
    return client.converse(**{"modelId": model, "messages": HELLO, **more})


def stream(client, model=MODEL, **more):
    return list(client.converse_stream(**{"modelId": model, "messages": HELLO, **more})["stream"])


def said(events):
    deltas = (event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event)
    return "".join(delta.get("text", "") for delta in deltas)


def test_plain(client, text):
    answer = converse(client)
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": text(MODEL)}]}
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert usage["outputTokens"] == 64
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    assert answer["metrics"]["latencyMs"] >= 0
    assert answer["ResponseMetadata"]["RequestId"]


def test_streamed(client, text):
    events = stream(client)
    names = [next(iter(event)) for event in events]
    assert names[0] == "messageStart"
    assert names[1:-3] == ["contentBlockDelta"] * 64
    assert names[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert said(events) == text(MODEL)
    assert events[-2]["messageStop"]["stopReason"] == "end_turn"
    assert events[-1]["metadata"]["usage"] == converse(client)["usage"]


@pytest.mark.parametrize("style", ["multibyte", "emoji", "combining", "crlf", "code"])
@pytest.mark.parametrize("wire", ["", "+split"])
def test_any_text_in_any_form(client, text, style, wire):
    model = f"{MODEL}+text={style}"
    assert said(stream(client, model + wire)) == text(model)
    assert converse(client, model)["output"]["message"]["content"] == [{"text": text(model)}]


def used(events):
    """The calls of a stream, put together."""
    calls = {}
    for event in events:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            calls[start["contentBlockIndex"]] = {**start["start"]["toolUse"], "input": ""}
        elif "toolUse" in event.get("contentBlockDelta", {}).get("delta", {}):
            delta = event["contentBlockDelta"]
            calls[delta["contentBlockIndex"]]["input"] += delta["delta"]["toolUse"]["input"]
    return [{**call, "input": json.loads(call["input"])} for call in calls.values()]


@pytest.mark.parametrize("fault, calls", [("tools", 1), ("twotools", 2)])
def test_tools(client, fault, calls):
    model = f"{MODEL}+{fault}"
    answer = converse(client, model, toolConfig=TOOLS)
    assert answer["stopReason"] == "tool_use"
    message = answer["output"]["message"]
    plain = [block["toolUse"] for block in message["content"]]
    streamed = used(stream(client, model, toolConfig=TOOLS))
    for uses in (plain, streamed):
        assert [use["name"] for use in uses] == ["get_weather", "get_news"][:calls]
        assert all(use["input"] == {"city": "sim", "days": 7} for use in uses)

    results = [{"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": "sunny"}]}} for use in plain]
    told = HELLO + [message, {"role": "user", "content": results}]
    assert converse(client, model, toolConfig=TOOLS, messages=told)["stopReason"] == "end_turn"
    with pytest.raises(ClientError, match="toolConfig field must be defined"):
        converse(client, messages=told)


def test_forced_tool(client):
    for choice, name in (({"any": {}}, "get_weather"), ({"tool": {"name": "get_news"}}, "get_news")):
        answer = converse(client, toolConfig={**TOOLS, "toolChoice": choice})
        [block] = answer["output"]["message"]["content"]
        assert block["toolUse"]["name"] == name


def test_structured_output(client):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    structure = {"jsonSchema": {"name": "place", "schema": json.dumps(schema)}}
    config = {"textFormat": {"type": "json_schema", "structure": structure}}
    answer = converse(client, outputConfig=config)
    assert json.loads(answer["output"]["message"]["content"][0]["text"]) == {"city": "sim"}
    assert json.loads(said(stream(client, outputConfig=config))) == {"city": "sim"}


def test_image(client, text):
    image = {"format": "png", "source": {"bytes": base64.b64decode(PNG)}}
    content = [{"image": image}, {"text": "What is this?"}]
    answer = converse(client, messages=[{"role": "user", "content": content}])
    assert answer["output"]["message"]["content"] == [{"text": text(MODEL)}]


def test_bounds(client, text):
    answer = converse(client, inferenceConfig={"maxTokens": 3})
    assert answer["stopReason"] == "max_tokens"
    assert answer["output"]["message"]["content"] == [{"text": text(f"{MODEL}+tokens=3")}]
    answer = converse(client, inferenceConfig={"stopSequences": ["day"]})
    assert answer["stopReason"] == "stop_sequence"


def test_continuation(client, text):
    whole = text(MODEL)
    begun = HELLO + [{"role": "assistant", "content": [{"text": whole[:60]}]}]
    older = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert converse(client, older, messages=begun)["output"]["message"]["content"] == [{"text": whole[60:]}]
    with pytest.raises(ClientError, match="prefill"):
        converse(client, messages=begun)
    asked = begun + [{"role": "user", "content": [{"text": f"Go on, beginning with «{whole[20:60]}»"}]}]
    assert said(stream(client, messages=asked)) == whole[20:]


ERRORS = {
    "500": (500, "InternalServerException"),
    "503": (503, "ServiceUnavailableException"),
    "529": (503, "ServiceUnavailableException"),
    "504": (408, "ModelTimeoutException"),
    "429": (429, "ThrottlingException"),
    "quota": (429, "ThrottlingException"),
    "401": (403, "UnrecognizedClientException"),
    "403": (403, "AccessDeniedException"),
    "404": (404, "ResourceNotFoundException"),
    "400": (400, "ValidationException"),
    "context": (400, "ValidationException"),
}


@pytest.mark.parametrize("call", [converse, stream])
@pytest.mark.parametrize("fault", ERRORS)
def test_error(client, fault, call):
    status, code = ERRORS[fault]
    with pytest.raises(ClientError) as caught:
        call(client, f"{MODEL}+{fault}")
    response = caught.value.response
    assert response["Error"]["Code"] == code
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RequestId"]


def test_errors_have_classes(client):
    with pytest.raises(client.exceptions.ThrottlingException):
        converse(client, f"{MODEL}+429")
    with pytest.raises(client.exceptions.ValidationException):
        converse(client, f"{MODEL}+context")


def test_retry_hint(client):
    with pytest.raises(ClientError) as caught:
        converse(client, f"{MODEL}+429=1.5")
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-retry-after"] == "1500"


def test_key(sim):
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        converse(connect(sim, key="AKIABAD"))


@pytest.mark.parametrize("fault, reason", [("filter200", "guardrail_intervened"), ("filter", "content_filtered")])
def test_filter_in_a_200(client, fault, reason):
    assert converse(client, f"{MODEL}+{fault}")["stopReason"] == reason
    assert stream(client, f"{MODEL}+{fault}")[-2]["messageStop"]["stopReason"] == reason


def test_no_answer(sim, client):
    with pytest.raises(ConnectionClosedError):
        converse(client, f"{MODEL}+reset")
    with pytest.raises(ReadTimeoutError):
        converse(connect(sim, read_timeout=0.3), f"{MODEL}+hang")


@pytest.mark.parametrize(
    "fault, code",
    [
        ("error=2", "modelStreamErrorException"),
        ("error=2+429", "throttlingException"),
        ("error=2+500", "internalServerException"),
        ("error=2+503", "serviceUnavailableException"),
        ("error=2+400", "validationException"),
    ],
)
def test_error_in_a_stream(client, fault, code):
    got = []
    with pytest.raises(EventStreamError) as caught:
        for event in client.converse_stream(modelId=f"{MODEL}+{fault}", messages=HELLO)["stream"]:
            got.append(event)
    assert caught.value.response["Error"]["Code"] == code
    assert len(said(got).split()) == 2


# What botocore does not wrap comes as urllib3's own.
BROKEN = (ResponseStreamingError, ConnectionClosedError, HTTPError)


@pytest.mark.parametrize("fault", ["cut=2", "truncated"])
def test_cut_stream(client, fault):
    with pytest.raises(BROKEN):
        stream(client, f"{MODEL}+{fault}")


def test_cut(client):
    with pytest.raises(BROKEN):
        converse(client, f"{MODEL}+cut=2")
    # botocore takes a body that ends early, and is not JSON, for an answer without its members.
    assert "output" not in converse(client, f"{MODEL}+truncated")


def test_end_without_a_terminal(client):
    names = [next(iter(event)) for event in stream(client, f"{MODEL}+eof=2")]
    assert names == ["messageStart", "contentBlockDelta", "contentBlockDelta"]


def test_mapping_mistakes(client):
    user, assistant = HELLO[0], {"role": "assistant", "content": [{"text": "x"}]}
    for wrong, match in (
        ({"messages": [assistant]}, "must start with a user message"),
        ({"messages": [user, user]}, "must alternate"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "is blank"),
        ({"inferenceConfig": {"temperature": 1.5}}, "temperature"),
    ):
        with pytest.raises(ClientError, match=match) as caught:
            converse(client, **wrong)
        assert caught.value.response["Error"]["Code"] in ("ValidationException", "ParamValidation")
