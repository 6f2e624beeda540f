"""The `anthropic` SDK accepts the simulator's messages, and takes its faults for its own exceptions."""

import json

import anthropic
import httpx2
import pytest
from conftest import PNG

MODEL = "claude-sonnet-4-6"
HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [
    {
        "name": name,
        "description": f"Calls {name}.",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    }
    for name in ("get_weather", "get_news")
]


# The SDK's own version of the API, and the one that most callers pin.
@pytest.fixture(scope="session", params=[None, "2023-06-01"])
def client(sim, request):
    headers = {"anthropic-version": request.param} if request.param else {}
    return anthropic.Anthropic(
        base_url=f"{sim}/anthropic", api_key="sk-ant-sim", max_retries=0, timeout=20, default_headers=headers
    )


def create(client, model=MODEL, **more):
    return client.messages.create(**{"model": model, "messages": HELLO, "max_tokens": 1000, **more})


def final(client, model=MODEL, **more):
    with client.messages.stream(**{"model": model, "messages": HELLO, "max_tokens": 1000, **more}) as stream:
        return stream.get_final_message()


def test_plain(client, text):
    answer = create(client)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", MODEL)
    assert answer.id.startswith("msg_")
    assert answer._request_id.startswith("req_")
    [block] = answer.content
    assert (block.type, block.text) == ("text", text(MODEL))
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens == 64
    assert answer.usage.input_tokens > 0


def test_streamed(client, text):
    plain, streamed = create(client), final(client)
    assert streamed.content[0].text == plain.content[0].text == text(MODEL)
    assert streamed.stop_reason == "end_turn"
    assert streamed.usage.output_tokens == plain.usage.output_tokens
    assert streamed.usage.input_tokens == plain.usage.input_tokens


def test_events(client):
    names = [event.type for event in create(client, f"{MODEL}+tokens=2", stream=True)]
    assert names == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("style", ["multibyte", "emoji", "combining", "crlf", "code"])
@pytest.mark.parametrize("wire", ["", "+crlf", "+comments", "+split"])
def test_any_text_in_any_form(client, text, style, wire):
    model = f"{MODEL}+text={style}"
    assert final(client, model + wire).content[0].text == text(model)
    assert create(client, model).content[0].text == text(model)


@pytest.mark.parametrize("fault, calls", [("tools", 1), ("twotools", 2)])
def test_tools(client, fault, calls):
    model = f"{MODEL}+{fault}+preamble=3"
    for answer in (create(client, model, tools=TOOLS), final(client, model, tools=TOOLS)):
        assert answer.stop_reason == "tool_use"
        said, *used = answer.content
        assert said.type == "text"
        assert [block.name for block in used] == ["get_weather", "get_news"][:calls]
        assert all(block.input == {"city": "sim", "days": 7} for block in used)
        assert len({block.id for block in used}) == calls

        results = [{"type": "tool_result", "tool_use_id": block.id, "content": "sunny"} for block in used]
        told = HELLO + [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
        assert create(client, model, tools=TOOLS, messages=told).stop_reason == "end_turn"
        with pytest.raises(anthropic.BadRequestError, match="tool_result"):
            create(client, model, tools=TOOLS, messages=told[:2] + HELLO)


def test_forced_tool(client):
    for choice, name in (({"type": "any"}, "get_weather"), ({"type": "tool", "name": "get_news"}, "get_news")):
        [block] = create(client, tools=TOOLS, tool_choice=choice).content
        assert block.name == name


def test_structured_output(client):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    for answer in (create(client, output_config=config), final(client, output_config=config)):
        assert json.loads(answer.content[0].text) == {"city": "sim"}


def test_image(client, text):
    for source in (
        {"type": "base64", "media_type": "image/png", "data": PNG},
        {"type": "url", "url": "https://example.com/cat.png"},
    ):
        content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
        answer = create(client, messages=[{"role": "user", "content": content}])
        assert answer.content[0].text == text(MODEL)


def test_bounds(client, text):
    answer = create(client, max_tokens=3)
    assert (answer.stop_reason, answer.content[0].text) == ("max_tokens", text(f"{MODEL}+tokens=3"))
    answer = create(client, stop_sequences=["day"])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "day")


def test_continuation(client, text):
    whole = text(MODEL)
    begun = HELLO + [{"role": "assistant", "content": whole[:60].rstrip()}]
    rest = whole[len(whole[:60].rstrip()) :]
    assert create(client, "claude-haiku-4-5", messages=begun).content[0].text == rest
    with pytest.raises(anthropic.BadRequestError, match="prefill"):
        create(client, messages=begun)
    asked = begun + [{"role": "user", "content": f"Go on, beginning with «{whole[20:50]}»"}]
    assert create(client, messages=asked).content[0].text == rest
    asked = begun + [{"role": "user", "content": f"Go on, beginning with «{begun[1]['content'][20:]}»"}]
    assert create(client, messages=asked).content[0].text == whole[20:]


ERRORS = {
    "500": (anthropic.InternalServerError, 500, "api_error"),
    "503": (anthropic.InternalServerError, 503, "api_error"),
    "529": (anthropic.InternalServerError, 529, "overloaded_error"),
    "504": (anthropic.InternalServerError, 504, "timeout_error"),
    "429": (anthropic.RateLimitError, 429, "rate_limit_error"),
    "401": (anthropic.AuthenticationError, 401, "authentication_error"),
    "403": (anthropic.PermissionDeniedError, 403, "permission_error"),
    "404": (anthropic.NotFoundError, 404, "not_found_error"),
    "400": (anthropic.BadRequestError, 400, "invalid_request_error"),
    "quota": (anthropic.BadRequestError, 400, "invalid_request_error"),
    "context": (anthropic.BadRequestError, 400, "invalid_request_error"),
    "filter": (anthropic.BadRequestError, 400, "invalid_request_error"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ERRORS)
def test_error(client, fault, stream):
    kind, status, type_ = ERRORS[fault]
    with pytest.raises(kind) as caught:
        create(client, f"{MODEL}+{fault}", stream=stream)
    error = caught.value
    assert error.status_code == status
    assert error.body["error"]["type"] == type_
    assert error.request_id == error.body["request_id"]


def test_overloaded_has_a_class_of_its_own(client):
    with pytest.raises(anthropic._exceptions.OverloadedError):
        create(client, f"{MODEL}+529")


def test_retry_hint(client):
    with pytest.raises(anthropic.RateLimitError) as caught:
        create(client, f"{MODEL}+429=1.5")
    assert caught.value.response.headers["retry-after"] == "1.5"


def test_key(sim):
    for key in ({"api_key": "sk-bad"}, {"auth_token": "bad"}):
        client = anthropic.Anthropic(base_url=f"{sim}/anthropic", max_retries=0, **key)
        with pytest.raises(anthropic.AuthenticationError):
            create(client)


def test_refusal_in_a_200(client):
    for answer in (create(client, f"{MODEL}+filter200"), final(client, f"{MODEL}+filter200")):
        assert answer.stop_reason == "refusal"
        assert answer.stop_details.category == "cyber"
        assert answer.content == []


def test_no_answer(client):
    with pytest.raises(anthropic.APIConnectionError):
        create(client, f"{MODEL}+reset")
    with pytest.raises(anthropic.APITimeoutError):
        create(client, f"{MODEL}+hang", timeout=0.3)


def test_error_in_a_stream(client):
    with pytest.raises(anthropic.APIStatusError) as caught:
        final(client, f"{MODEL}+error=2")
    assert caught.value.body["error"]["type"] == "overloaded_error"
    with pytest.raises(anthropic.APIStatusError) as caught:
        final(client, f"{MODEL}+error=2+429")
    assert caught.value.body["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("fault", ["cut=2", "truncated"])
def test_cut(client, fault):
    with pytest.raises(anthropic.APIConnectionError):
        create(client, f"{MODEL}+{fault}")
    # Once a stream has begun, the SDK lets its HTTP client's exceptions through.
    with pytest.raises(httpx2.TransportError):
        final(client, f"{MODEL}+{fault}")


def test_mapping_mistakes(sim, client):
    for wrong, match in (
        ({"messages": [{"role": "assistant", "content": "x"}]}, "first message"),
        ({"messages": HELLO + [{"role": "system", "content": "x"}]}, "system"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"extra_body": {"frequency_penalty": 1}}, "frequency_penalty: Extra inputs"),
        ({"model": "claude-opus-4-7", "extra_body": {"temperature": 0.5}}, "temperature"),
        ({"stop_sequences": [" "]}, "non-whitespace"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=match):
            create(client, **wrong)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        client.post("/v1/messages", body={"model": MODEL, "messages": HELLO}, cast_to=object)


def test_sampling_by_version(sim, text):
    for version, accepted in (("2023-06-01", True), ("2026-10-21", False)):
        client = anthropic.Anthropic(
            base_url=f"{sim}/anthropic",
            api_key="sk",
            max_retries=0,
            default_headers={"anthropic-version": version},
        )
        if accepted:
            assert create(client, extra_body={"temperature": 0.5}).content[0].text == text(MODEL)
        else:
            with pytest.raises(anthropic.BadRequestError, match="temperature"):
                create(client, extra_body={"temperature": 0.5})
