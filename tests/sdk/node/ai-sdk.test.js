// The AI SDK, by `@ai-sdk/openai-compatible`, through a gateway whose providers are simulated.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";

import { gateway, HELLO, KEY, RESUMED, text, WEATHER, withoutWarning } from "./setup.js";

withoutWarning();

const provider = createOpenAICompatible({
  name: "backstop",
  baseURL: `${gateway()}/v1`,
  apiKey: KEY,
  includeUsage: true,
});

/** Everything that a stream of the model consists of. Errors are parts of it. */
async function streamed(model, more = {}) {
  const result = streamText({
    model: provider(model),
    messages: HELLO,
    maxRetries: 0,
    // By default errors are printed as well, and nothing may be.
    onError: () => {},
    ...more,
  });
  const parts = [];
  for await (const part of result.fullStream) parts.push(part);
  return { result, parts, of: (type) => parts.filter((part) => part.type === type) };
}

const said = (deltas) => deltas.map((delta) => delta.text).join("");

const WHOLE = { smart: "gpt-4o", survivor: "gpt-4o", ...RESUMED };

for (const [model, source] of Object.entries(WHOLE)) {
  test(`${model}: a stream is whole`, async () => {
    const { result, of } = await streamed(model);
    assert.deepEqual(of("error"), []);
    assert.equal(said(of("text-delta")), await text(source));
    assert.equal(of("text-start").length, 1, "one text, however many parts it came in");
    assert.equal(of("finish").length, 1);
    assert.equal(await result.text, await text(source));
    assert.equal(await result.finishReason, "stop");
    assert.deepEqual((await result.warnings) ?? [], []);
    const { inputTokens, outputTokens, totalTokens } = await result.usage;
    assert.ok(inputTokens > 0 && outputTokens > 0);
    assert.equal(totalTokens, inputTokens + outputTokens);
  });
}

for (const model of ["smart", "survivor"]) {
  test(`${model}: an answer that is not streamed is whole`, async () => {
    const result = await generateText({ model: provider(model), messages: HELLO, maxRetries: 0 });
    assert.equal(result.text, await text("gpt-4o"));
    assert.equal(result.finishReason, "stop");
    assert.deepEqual(result.warnings ?? [], []);
  });
}

for (const model of ["tools", "resumes/tools"]) {
  test(`${model}: a call is whole`, async () => {
    const { description, parameters } = WEATHER;
    const tools = { get_weather: tool({ description, inputSchema: jsonSchema(parameters) }) };
    const { result, of } = await streamed(model, { tools });
    assert.deepEqual(of("error"), []);
    assert.equal(of("tool-call").length, 1);
    const [call] = of("tool-call");
    assert.equal(call.toolName, "get_weather");
    assert.equal(typeof call.input.city, "string");
    assert.equal(await result.finishReason, "tool-calls");
    assert.deepEqual((await result.warnings) ?? [], []);
  });
}

test("an error after the stream began is surfaced, behind the text that is there", async () => {
  const { of } = await streamed("breaks");
  assert.ok(of("error").length > 0);
  const before = said(of("text-delta"));
  assert.ok((await text("gpt-4o")).startsWith(before) && before.length > 0);
  const finished = of("finish").map((part) => part.finishReason);
  assert.ok(!finished.includes("stop"), `${finished}`);
});
