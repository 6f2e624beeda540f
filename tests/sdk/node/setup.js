// What all of these checks share: where the servers are, and an ear for warnings.

import assert from "node:assert/strict";
import { after, before } from "node:test";

export const KEY = "sk-gateway";
export const HELLO = [{ role: "user", content: "Hello" }];

const required = (name, what) => {
  const url = process.env[name];
  assert.ok(url, `${name} is not set: it must be the base URL of ${what}`);
  return url.replace(/\/$/, "");
};

export const gateway = () => required("BACKSTOP_GATEWAY_URL", "a running gateway");

/** The text that the simulator answers with, by model. */
export async function text(model) {
  const sim = required("BACKSTOP_SIM_URL", "a running simulator");
  const response = await fetch(`${sim}/_sim/text?${encodeURIComponent(model)}`);
  return (await response.json()).text;
}

/** Fails the file if anything in it warns: an SDK on the console, or Node itself. */
export function withoutWarning() {
  const heard = [];
  const said = {};
  const listen = (warning) => heard.push(`${warning.name}: ${warning.message}`);
  before(() => {
    for (const how of ["warn", "error"]) {
      said[how] = console[how];
      console[how] = (...words) => heard.push(words.map(String).join(" "));
    }
    process.on("warning", listen);
  });
  after(async () => {
    // Node reports its warnings at the end of the turn in which they arise.
    await new Promise(setImmediate);
    process.off("warning", listen);
    Object.assign(console, said);
    assert.deepEqual(heard, []);
  });
}

/** Each way in which an answer of two or more parts goes on; see gateway.yaml. */
export const RESUMED = {
  "resumes/prompted": "gpt-4o+text=emoji",
  "resumes/prefill": "gpt-4o+text=code",
  "resumes/twice": "gpt-4o+text=crlf",
  "resumes/stalled": "gpt-4o+text=combining",
};

export const WEATHER = {
  description: "The weather of a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
