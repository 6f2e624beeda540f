// The `openai` package through a gateway whose providers are simulated.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { gateway, HELLO, KEY, RESUMED, text, WEATHER, withoutWarning } from "./setup.js";

withoutWarning();

const client = new OpenAI({ baseURL: `${gateway()}/v1`, apiKey: KEY, maxRetries: 0, timeout: 30_000 });

async function streamed(ask) {
  const chunks = [];
  const stream = await client.chat.completions.create({ messages: HELLO, stream: true, ...ask });
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const choices = (chunks) => chunks.flatMap((chunk) => chunk.choices);
const said = (chunks) => choices(chunks).map((choice) => choice.delta.content ?? "").join("");
const finishes = (chunks) => choices(chunks).flatMap((choice) => choice.finish_reason ?? []);
const roles = (chunks) => choices(chunks).flatMap((choice) => choice.delta.role ?? []);
const ids = (chunks) => new Set(chunks.map((chunk) => chunk.id));

const WHOLE = { smart: "gpt-4o", survivor: "gpt-4o", ...RESUMED };

for (const [model, source] of Object.entries(WHOLE)) {
  test(`${model}: a stream is whole`, async () => {
    const chunks = await streamed({ model });
    assert.equal(said(chunks), await text(source));
    assert.deepEqual(finishes(chunks), ["stop"]);
    assert.deepEqual(roles(chunks), ["assistant"]);
    assert.equal(ids(chunks).size, 1);
    assert.ok(chunks.every((chunk) => chunk.usage == null && chunk.choices.length === 1));
  });

  test(`${model}: a stream says what it used where that is asked for`, async () => {
    const chunks = await streamed({ model, stream_options: { include_usage: true } });
    assert.equal(said(chunks), await text(source));
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    const { prompt_tokens, completion_tokens, total_tokens } = last.usage;
    assert.ok(prompt_tokens > 0 && completion_tokens > 0);
    assert.equal(total_tokens, prompt_tokens + completion_tokens);
    assert.ok(chunks.every((chunk) => chunk.usage == null));
  });

  test(`${model}: the SDK's own accumulation is whole`, async () => {
    const runner = client.chat.completions.stream({ model, messages: HELLO });
    const completion = await runner.finalChatCompletion();
    assert.equal(completion.choices[0].message.content, await text(source));
    assert.equal(completion.choices[0].finish_reason, "stop");
  });
}

for (const model of ["tools", "resumes/tools"]) {
  test(`${model}: a call is whole`, async () => {
    const tools = [{ type: "function", function: { name: "get_weather", ...WEATHER } }];
    const runner = client.chat.completions.stream({ model, messages: HELLO, tools });
    const [choice] = (await runner.finalChatCompletion()).choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(choice.message.tool_calls.length, 1);
    const [call] = choice.message.tool_calls;
    assert.ok(call.id);
    assert.equal(call.function.name, "get_weather");
    assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
  });
}

test("an error after the stream began is thrown, behind the text that is there", async () => {
  const stream = await client.chat.completions.create({ model: "breaks", messages: HELLO, stream: true });
  const chunks = [];
  await assert.rejects(
    async () => {
      for await (const chunk of stream) chunks.push(chunk);
    },
    (error) => error instanceof OpenAI.APIError && error.code === "upstream_error",
  );
  assert.ok((await text("gpt-4o")).startsWith(said(chunks)) && said(chunks).length > 0);
  assert.deepEqual(finishes(chunks), []);
});

test("an error before the stream began has its status", async () => {
  await assert.rejects(
    client.chat.completions.create({ model: "down", messages: HELLO, stream: true }),
    (error) =>
      error instanceof OpenAI.InternalServerError &&
      error.status === 503 &&
      error.code === "all_deployments_failed",
  );
});
