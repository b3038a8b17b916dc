import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";

import { OneRuntime } from "@one-runtime/client";

import { KEY, URL_OF_US } from "./installation.mjs";
import { RELAYED } from "./server.mjs";

const user = { endUserId: "user_123" };
const SECOND = 1000;

/** A One Runtime that never answers, and a clock that the test advances. */
function silence(context, options = {}) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const given = {};
  const fetch = (_, { signal }) => {
    given.signal = signal;
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  const client = new OneRuntime({ baseUrl: URL_OF_US, apiKey: KEY, fetch, ...options });
  return { given, client, proxy: client.proxy };
}

/** A One Runtime that answers at once, and the seconds of each request's time limit. */
function listening(options = {}) {
  const limits = [];
  const fetch = async (_, { headers }) => {
    limits.push(headers.get("one-runtime-timeout"));
    return new Response("", { headers: RELAYED });
  };
  return { limits, proxy: new OneRuntime({ baseUrl: URL_OF_US, apiKey: KEY, fetch, ...options }).proxy };
}

test("a call sends the provider's time limit, at most 600 seconds", async () => {
  const { limits, proxy } = listening();
  for (const timeout of [undefined, 1500, 300_000, 3_600_000, Infinity]) {
    await proxy.get("raw", "/x", { ...user, timeout });
  }
  assert.deepEqual(limits, ["60", "1.5", "300", "600", "600"]);
});

test("the client's timeout is the default of its calls", async () => {
  const { limits, proxy } = listening({ timeout: 300_000 });
  await proxy.get("raw", "/x", user);
  await proxy.get("raw", "/x", { ...user, headers: { "One-Runtime-Timeout": "7" } });
  assert.deepEqual(limits, ["300", "7"]);
});

test("a timeout that is not positive is refused", async () => {
  const { proxy } = listening();
  for (const timeout of [0, -1, NaN]) {
    await assert.rejects(proxy.get("raw", "/x", { ...user, timeout }), TypeError);
  }
});

test("One Runtime reports a silent provider before the client's timer ends", async () => {
  const { proxy } = new OneRuntime({ baseUrl: URL_OF_US, apiKey: KEY });
  const call = proxy.get("raw", "/silent", { ...user, timeout: 100 });
  await assert.rejects(call, { name: "ProviderUnavailable", code: "upstream_timeout", status: 504 });
});

for (const [what, options, seconds] of [
  ["a call", {}, 90],
  ["a call with a time of its own", { timeout: 300 * SECOND }, 330],
  ["a call that One Runtime may repeat, with the waits between its tries", { retry: true }, 330],
]) {
  test(`${what} times out after ${seconds} seconds of silence and no sooner`, async (context) => {
    const { given, proxy } = silence(context);
    const call = assert.rejects(proxy.put("raw", "/x", { ...user, json: {}, ...options }), { code: "timeout" });
    context.mock.timers.tick(seconds * SECOND - 1);
    assert.equal(given.signal.aborted, false);
    context.mock.timers.tick(1);
    await call;
  });
}

for (const [options, seconds] of [
  [{}, 60 + 30],
  [{ timeout: 5 * SECOND }, 5 + 30],
]) {
  test(`a call that waits 30 seconds for events times out after ${seconds} seconds and no sooner`, async (context) => {
    const { given, client } = silence(context);
    const pulled = client.webhookDeliveries.pull("endpoint", { waitSeconds: 30 }, options);
    const call = assert.rejects(pulled, { code: "timeout" });
    context.mock.timers.tick(seconds * SECOND - 1);
    assert.equal(given.signal.aborted, false);
    context.mock.timers.tick(1);
    await call;
  });
}

for (const [what, body] of [
  ["a stream", Readable.from(["one"])],
  ["a form", new FormData()],
  ["bytes above 1 MB", Buffer.alloc(1_000_001)],
  ["text above 1 MB", "a".repeat(1_000_001)],
  ["a file above 1 MB", new Blob([Buffer.alloc(1_000_001)])],
]) {
  test(`${what} has no time limit until the caller aborts it`, async (context) => {
    const { given, proxy } = silence(context);
    const leaving = new AbortController();
    const reason = new Error("enough");
    const sent = proxy.put("raw", "/x", { ...user, body, signal: leaving.signal });
    const call = assert.rejects(sent, (error) => error === reason);
    context.mock.timers.tick(5 * 3600 * SECOND);
    assert.equal(given.signal.aborted, false);
    leaving.abort(reason);
    await call;
  });
}

for (const code of ["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]) {
  test(`${code} of fetch itself has the code timeout`, async () => {
    const cause = Object.assign(new Error("a timeout of undici"), { code });
    const fetch = () => Promise.reject(new TypeError("fetch failed", { cause }));
    const { proxy } = listening({ fetch });
    await assert.rejects(proxy.get("raw", "/x", user), { name: "ConnectionFailed", code: "timeout", status: null });
  });
}
