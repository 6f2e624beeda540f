"""The `openai` SDK through a gateway whose providers are simulated."""

import json

import openai
import pytest
from pydantic import BaseModel

# The gateway under test: its key, and the names of its models.
KEY = "sk-gateway"
# A healthy chain.
MODEL = "smart"
# A chain whose first deployments fail, and whose last one answers.
SURVIVOR = "survivor"
# A healthy chain that answers with a call of the first tool.
TOOLS_MODEL = "tools"
# A chain of several deployments that are all rate limited or down, one of them with a hint when to come back.
DOWN = "down"
# A chain whose answers are put together from streams, the first of which breaks in the middle; and a model with its text.
COLLECTED = "collected"
COLLECTED_TEXT = "gpt-4o+text=emoji"
# Chains whose first two deployments fail in one way each, and whose last one answers: `survives/<fault>`.
FAULTS = [
    "500",
    "503",
    "529",
    "429=60",
    "quota",
    "hang",
    "reset",
    "garbage",
    "html",
    "empty",
    "truncated",
    "wrongtype",
    "401",
    "403",
    "404",
    "filter",
    "filter200",
]
# A model that no one has configured.
UNKNOWN = "no-such-model"

HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


class Place(BaseModel):
    city: str
    people: int


def connect(gateway, key=KEY):
    return openai.OpenAI(base_url=f"{gateway}/v1", api_key=key, max_retries=0, timeout=30)


@pytest.fixture(scope="session")
def client(gateway):
    return connect(gateway)


def said(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.mark.parametrize("model", [MODEL, SURVIVOR])
def test_plain(client, model):
    answer = client.chat.completions.create(model=model, messages=HELLO)
    assert answer.object == "chat.completion"
    [choice] = answer.choices
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_collected(client, text):
    answer = client.chat.completions.create(model=COLLECTED, messages=HELLO)
    assert answer.object == "chat.completion"
    [choice] = answer.choices
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.tool_calls is None
    assert choice.message.content == text(COLLECTED_TEXT)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@pytest.mark.parametrize("model", [MODEL, SURVIVOR])
def test_streamed_with_usage(client, model):
    plain = client.chat.completions.create(model=model, messages=HELLO)
    chunks = list(
        client.chat.completions.create(
            model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    assert said(chunks) == plain.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens
    finished = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert finished == ["stop"]


@pytest.mark.parametrize("model", [MODEL, SURVIVOR])
def test_streamed_without_usage(client, model):
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert said(chunks)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_every_fault_has_its_chain(client):
    names = {model.id for model in client.models.list() if model.id.startswith("survives/")}
    assert names == {f"survives/{fault}" for fault in FAULTS}


@pytest.mark.parametrize("fault", FAULTS)
def test_survives(client, text, fault):
    ask = {"model": f"survives/{fault}", "messages": HELLO}
    expected = text("us.anthropic.claude-sonnet-4-6")

    raw = client.chat.completions.with_raw_response.create(**ask)
    assert raw.headers["x-backstop-provider"] == "bedrock"
    assert raw.headers["x-backstop-fallbacks"] == "2"
    assert raw.parse().choices[0].message.content == expected

    parsed = client.chat.completions.parse(**ask, response_format=Place)
    assert isinstance(parsed.choices[0].message.parsed, Place)

    # A stream that breaks after its first token goes on from the next deployment.
    chunks = list(client.chat.completions.create(**ask, stream=True))
    assert said(chunks) == expected
    assert len({c.id for c in chunks}) == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]


def test_tools(client):
    ask = {"model": TOOLS_MODEL, "messages": HELLO, "tools": TOOLS}
    plain = client.chat.completions.create(**ask)
    with client.chat.completions.stream(**ask) as stream:
        streamed = stream.get_final_completion()
    for answer in (plain, streamed):
        [choice] = answer.choices
        assert choice.finish_reason == "tool_calls"
        [call] = choice.message.tool_calls
        assert call.id
        assert call.function.name == "get_weather"
        assert isinstance(json.loads(call.function.arguments)["city"], str)

    result = {"role": "tool", "tool_call_id": plain.choices[0].message.tool_calls[0].id, "content": "sunny"}
    answer = client.chat.completions.create(
        model=TOOLS_MODEL, messages=HELLO + [plain.choices[0].message, result], tools=TOOLS
    )
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


@pytest.mark.parametrize("model", [MODEL, SURVIVOR])
def test_structured_output(client, model):
    answer = client.chat.completions.parse(model=model, messages=HELLO, response_format=Place)
    assert isinstance(answer.choices[0].message.parsed, Place)


def test_models(client):
    names = {model.id for model in client.models.list()}
    assert {MODEL, SURVIVOR, DOWN} <= names
    assert UNKNOWN not in names
    assert client.models.retrieve(MODEL).id == MODEL


@pytest.mark.parametrize("stream", [False, True])
def test_unknown_model(client, stream):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model=UNKNOWN, messages=HELLO, stream=stream)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("messages", [None, 7, []])
def test_bad_request(client, messages):
    with pytest.raises(openai.BadRequestError):
        client.post(
            "/chat/completions", body={"model": MODEL, "messages": messages}, cast_to=object
        )


def test_wrong_key(gateway):
    with pytest.raises(openai.AuthenticationError) as caught:
        connect(gateway, key="sk-wrong").chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("stream", [False, True])
def test_everything_down(client, stream):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=DOWN, messages=HELLO, stream=stream)
    error = caught.value
    assert (error.status_code, error.code) == (503, "all_deployments_failed")
    assert float(error.response.headers["retry-after"]) > 0
