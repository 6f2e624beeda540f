"""The `openai` SDK accepts the simulator's chat completions, and takes its faults for its own exceptions."""

import json

import openai
import pytest
from conftest import PNG
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Calls {name}.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    }
    for name in ("get_weather", "get_news")
]


@pytest.fixture(scope="session")
def client(sim):
    return openai.OpenAI(base_url=f"{sim}/openai/v1", api_key="sk-sim", max_retries=0, timeout=20)


def streamed(stream):
    return "".join(
        chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices
    )


def test_plain(client, text):
    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.object == "chat.completion"
    assert answer.model == "gpt-4o"
    assert answer.id.startswith("chatcmpl-")
    assert answer._request_id.startswith("req_")
    [choice] = answer.choices
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.content == text("gpt-4o")
    usage = answer.usage
    assert usage.completion_tokens == 64
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_streamed_with_usage(client, text):
    plain = client.chat.completions.create(model="gpt-4o", messages=HELLO)
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert streamed(chunks) == text("gpt-4o")
    assert [c.choices[0].finish_reason for c in chunks[:-1] if c.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage == plain.usage


def test_streamed_without_usage(client, text):
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
    assert streamed(chunks) == text("gpt-4o")
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_accumulating_helper(client, text):
    with client.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == text("gpt-4o")


def test_several_choices(client, text):
    plain = client.chat.completions.create(model="gpt-4o", messages=HELLO, n=2)
    assert [choice.message.content for choice in plain.choices] == [text("gpt-4o")] * 2
    with client.chat.completions.stream(model="gpt-4o", messages=HELLO, n=2) as stream:
        final = stream.get_final_completion()
    assert [choice.message.content for choice in final.choices] == [text("gpt-4o")] * 2


@pytest.mark.parametrize("style", ["multibyte", "emoji", "combining", "crlf", "code"])
@pytest.mark.parametrize("wire", ["", "+crlf", "+comments", "+split", "+nodone"])
def test_any_text_in_any_form(client, text, style, wire):
    model = f"gpt-4o+text={style}"
    stream = client.chat.completions.create(model=model + wire, messages=HELLO, stream=True)
    assert streamed(stream) == text(model)
    plain = client.chat.completions.create(model=model, messages=HELLO)
    assert plain.choices[0].message.content == text(model)


@pytest.mark.parametrize("model, calls", [("gpt-4o+tools", 1), ("gpt-4o+twotools", 2)])
def test_tools(client, model, calls):
    plain = client.chat.completions.create(model=model, messages=HELLO, tools=TOOLS)
    [choice] = plain.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    with client.chat.completions.stream(model=model, messages=HELLO, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls"
    for message in (choice.message, final.choices[0].message):
        assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_news"][:calls]
        assert len({call.id for call in message.tool_calls}) == calls
        for call in message.tool_calls:
            assert json.loads(call.function.arguments) == {"city": "sim", "days": 7}

    # The results go back, and the answer is text.
    messages = HELLO + [choice.message]
    for call in choice.message.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    answer = client.chat.completions.create(model=model, messages=messages, tools=TOOLS)
    assert answer.choices[0].finish_reason == "stop"


def test_forced_tool(client):
    for choice in ("required", {"type": "function", "function": {"name": "get_news"}}):
        answer = client.chat.completions.create(
            model="gpt-4o", messages=HELLO, tools=TOOLS, tool_choice=choice
        )
        [call] = answer.choices[0].message.tool_calls
        assert call.function.name == ("get_weather" if choice == "required" else "get_news")


def test_structured_output(client):
    class Place(BaseModel):
        city: str
        people: int
        rivers: list[str]

    answer = client.chat.completions.parse(model="gpt-4o", messages=HELLO, response_format=Place)
    assert answer.choices[0].message.parsed == Place(city="sim", people=7, rivers=["sim"])
    with client.chat.completions.stream(model="gpt-4o", messages=HELLO, response_format=Place) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed.city == "sim"


def test_json_object(client):
    ask = {"model": "gpt-4o", "response_format": {"type": "json_object"}}
    answer = client.chat.completions.create(messages=[{"role": "user", "content": "JSON please"}], **ask)
    assert json.loads(answer.choices[0].message.content)["ok"] is True
    with pytest.raises(openai.BadRequestError, match="json"):
        client.chat.completions.create(messages=HELLO, **ask)


def test_image(client, text):
    for url in (f"data:image/png;base64,{PNG}", "https://example.com/cat.png"):
        content = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        ]
        answer = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": content}]
        )
        assert answer.choices[0].message.content == text("gpt-4o")


def test_bounds(client, text):
    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == text("gpt-4o+tokens=3")
    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO, stop=["day"])
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == text("gpt-4o").split("day")[0]


def test_continuation(client, text):
    whole = text("gpt-4o")
    begun = HELLO + [{"role": "assistant", "content": whole[:60]}]
    answer = client.chat.completions.create(model="gpt-4o", messages=begun)
    assert answer.choices[0].message.content == whole[60:]
    begun.append({"role": "user", "content": f"Go on, beginning with «{whole[20:60]}»"})
    answer = client.chat.completions.create(model="gpt-4o", messages=begun)
    assert answer.choices[0].message.content == whole[20:]


ERRORS = {
    "500": (openai.InternalServerError, 500, "server_error", None),
    "503": (openai.InternalServerError, 503, "service_unavailable_error", "server_is_overloaded"),
    "529": (openai.InternalServerError, 503, "service_unavailable_error", "server_is_overloaded"),
    "504": (openai.InternalServerError, 504, "server_error", None),
    "429": (openai.RateLimitError, 429, "requests", "rate_limit_exceeded"),
    "quota": (openai.RateLimitError, 429, "insufficient_quota", "credit_balance_exhausted"),
    "401": (openai.AuthenticationError, 401, "invalid_request_error", "invalid_api_key"),
    "403": (openai.PermissionDeniedError, 403, "request_forbidden", "unsupported_country_region_territory"),
    "404": (openai.NotFoundError, 404, "invalid_request_error", "model_not_found"),
    "400": (openai.BadRequestError, 400, "invalid_request_error", "invalid_value"),
    "context": (openai.BadRequestError, 400, "invalid_request_error", "context_length_exceeded"),
    "filter": (openai.BadRequestError, 400, "invalid_request_error", "content_policy_violation"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ERRORS)
def test_error(client, fault, stream):
    kind, status, type_, code = ERRORS[fault]
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=f"gpt-4o+{fault}", messages=HELLO, stream=stream)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (status, type_, code)
    assert error.request_id.startswith("req_")
    assert "retry-after" not in error.response.headers


def test_retry_hint(client):
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o+429=1.5", messages=HELLO)
    headers = caught.value.response.headers
    assert (headers["retry-after-ms"], headers["retry-after"]) == ("1500", "2")


def test_the_sdk_retries_what_passes(sim, text):
    client = openai.OpenAI(base_url=f"{sim}/openai/v1", api_key="sk-sim", max_retries=2)
    answer = client.chat.completions.create(model="gpt-4o+429=0.01+first=1+tokens=7", messages=HELLO)
    assert answer.choices[0].message.content == text("gpt-4o+tokens=7")


@pytest.mark.parametrize("stream", [False, True])
def test_key(sim, stream):
    client = openai.OpenAI(base_url=f"{sim}/openai/v1", api_key="sk-bad", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=stream)


def test_content_filter_in_a_200(client):
    answer = client.chat.completions.create(model="gpt-4o+filter200", messages=HELLO)
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.content is None
    chunks = list(client.chat.completions.create(model="gpt-4o+filter200=4", messages=HELLO, stream=True))
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert len(streamed(chunks).split()) == 4


def test_no_answer(client):
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4o+reset", messages=HELLO)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="gpt-4o+hang", messages=HELLO, timeout=0.3)


@pytest.mark.parametrize("fault", ["cut=3", "truncated"])
def test_cut(client, fault):
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model=f"gpt-4o+{fault}", messages=HELLO)
    stream = client.chat.completions.create(model=f"gpt-4o+{fault}", messages=HELLO, stream=True)
    got = []
    with pytest.raises(openai.APIConnectionError):
        for chunk in stream:
            got.append(chunk.choices[0].delta.content or "")
    assert len("".join(got).split()) == (3 if fault == "cut=3" else 2)


def test_stall(client):
    stream = client.chat.completions.create(
        model="gpt-4o+stall=2", messages=HELLO, stream=True, timeout=0.3
    )
    with pytest.raises(openai.APITimeoutError):
        list(stream)


def test_error_in_a_stream(client):
    stream = client.chat.completions.create(model="gpt-4o+error=2", messages=HELLO, stream=True)
    got = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            got.append(chunk.choices[0].delta.content or "")
    assert caught.value.type == "server_error"
    assert len("".join(got).split()) == 2


def test_end_without_a_terminal(client):
    chunks = list(client.chat.completions.create(model="gpt-4o+eof=2", messages=HELLO, stream=True))
    assert not any(chunk.choices[0].finish_reason for chunk in chunks)


@pytest.mark.parametrize("fault", ["garbage", "empty"])
def test_not_an_answer(client, fault):
    with pytest.raises(json.JSONDecodeError):
        client.chat.completions.create(model=f"gpt-4o+{fault}", messages=HELLO)


def test_mapping_mistakes(client):
    create = client.chat.completions.create
    with pytest.raises(openai.BadRequestError) as caught:
        create(model="o3", messages=HELLO, max_tokens=5)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "max_tokens")
    with pytest.raises(openai.BadRequestError) as caught:
        create(model="gpt-5", messages=HELLO, temperature=0.5)
    assert caught.value.code == "unsupported_value"
    with pytest.raises(openai.BadRequestError, match="tool_calls"):
        create(model="gpt-4o", messages=[{"role": "tool", "tool_call_id": "x", "content": "y"}])
    with pytest.raises(openai.BadRequestError, match="unknown fault `501`; known: 500"):
        create(model="gpt-4o+501", messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="gpt-4o", input="x")
