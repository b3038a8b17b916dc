import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import {
  ConnectionFailed,
  ConnectRequired,
  OneRuntime,
  RateLimited,
  Unauthenticated,
  Unavailable,
} from "@one-runtime/client";

import { client, KEY } from "./installation.mjs";
import { json, page, problem, serving } from "./server.mjs";

/** A client of the server, and what it waited. */
function waiting(url, options = {}) {
  const waited = [];
  const sleep = async (milliseconds) => {
    waited.push(milliseconds);
  };
  return { waited, oneRuntime: new OneRuntime({ baseUrl: url, apiKey: KEY, sleep, ...options }) };
}

const silent = () => {};

test("a key of nobody is unauthenticated", async () => {
  await assert.rejects(client({ apiKey: "oru_nobody" }).organization.get(), (error) => {
    assert.ok(error instanceof Unauthenticated);
    assert.equal(error.name, "Unauthenticated");
    assert.ok(!inspect(error).includes("oru_nobody"));
    return true;
  });
});

test("a busy server is asked again after what it says", async (context) => {
  const server = await serving(context, problem("rate_limited", 429, { "retry-after": "7" }), json({ id: "o" }));
  const { waited, oneRuntime } = waiting(server.url);
  assert.deepEqual(await oneRuntime.organization.get(), { id: "o" });
  assert.deepEqual(waited, [7000]);
});

test("without Retry-After each wait is longer, and the third refusal is the caller's", async (context) => {
  const server = await serving(context, problem("database_busy", 503));
  const { waited, oneRuntime } = waiting(server.url);
  await assert.rejects(oneRuntime.sessions.create({ endUserId: "u" }), (error) => {
    assert.ok(error instanceof Unavailable);
    assert.equal(error.code, "database_busy");
    return true;
  });
  assert.deepEqual(waited, [500, 1000]);
  assert.deepEqual(
    server.arrived.map((one) => one.body),
    Array(3).fill('{"end_user_id":"u"}'),
  );
});

test("who asks for a longer wait than is bearable is not asked again", async (context) => {
  const server = await serving(context, problem("rate_limited", 429, { "retry-after": "31" }));
  const { waited, oneRuntime } = waiting(server.url);
  await assert.rejects(oneRuntime.organization.get(), (error) => {
    assert.ok(error instanceof RateLimited);
    assert.equal(error.retryAfter, 31);
    return true;
  });
  assert.deepEqual(waited, []);
});

for (const [code, status] of [
  ["internal_error", 500],
  ["provider_unavailable", 502],
  ["conflict", 409],
]) {
  test(`${code} is not tried again`, async (context) => {
    const server = await serving(context, problem(code, status));
    await assert.rejects(waiting(server.url).oneRuntime.organization.get(), { code, status, requestId: "r-1" });
    assert.equal(server.arrived.length, 1);
  });
}

test("what the provider has refused asks for the end user as a missing connection does", async (context) => {
  const server = await serving(context, problem("needs_reauth", 409));
  await assert.rejects(waiting(server.url).oneRuntime.connections.refresh("c"), ConnectRequired);
});

test("the page of a load balancer is an unexpected answer", async (context) => {
  const server = await serving(context, page(404, { "request-id": "r-2" }));
  const told = waiting(server.url).oneRuntime.organization.get();
  await assert.rejects(told, { name: "OneRuntimeError", code: "unexpected_answer", status: 404, requestId: "r-2" });
});

for (const status of [429, 503]) {
  test(`a ${status} of a load balancer is not tried again`, async (context) => {
    const server = await serving(context, page(status));
    const told = waiting(server.url).oneRuntime.sessions.create({ endUserId: "u" });
    await assert.rejects(told, { name: "OneRuntimeError", code: "unexpected_answer", status });
    assert.equal(server.arrived.length, 1);
  });
}

test("a page that does not end is let go", { timeout: 10_000 }, async (context) => {
  let leave;
  const gone = new Promise((resolve) => {
    leave = resolve;
  });
  const server = await serving(context, (_, response) => {
    response.on("close", leave).writeHead(502).write("<html>");
  });
  await assert.rejects(waiting(server.url).oneRuntime.organization.get(), { code: "unexpected_answer", status: 502 });
  await gone;
});

test("JSON with a code is no error of One Runtime's, unless its type says so", async (context) => {
  const server = await serving(context, json({ code: "database_busy" }, 503));
  await assert.rejects(waiting(server.url).oneRuntime.organization.get(), { code: "unexpected_answer" });
  assert.equal(server.arrived.length, 1);
});

for (const [method, ask] of [
  ["POST", (oneRuntime) => oneRuntime.sessions.create({ endUserId: "u" })],
  ["PATCH", (oneRuntime) => oneRuntime.connections.update("c", { name: "n" })],
]) {
  test(`${method} is not tried again where it may have been done`, async (context) => {
    const server = await serving(context, problem("unavailable", 503));
    await assert.rejects(ask(waiting(server.url).oneRuntime), Unavailable);
    assert.equal(server.arrived.length, 1);
  });

  test(`${method} is tried again where nothing was done`, async (context) => {
    const server = await serving(context, problem("database_busy", 503), problem("rate_limited", 429), json({}));
    await ask(waiting(server.url).oneRuntime);
    assert.deepEqual(server.arrived.map((one) => one.method), Array(3).fill(method));
  });
}

test("what may be done twice is tried again on every 503 of One Runtime's", async (context) => {
  const server = await serving(context, problem("unavailable", 503), problem("unavailable", 503), json({ id: "o" }));
  assert.deepEqual(await waiting(server.url).oneRuntime.organization.replace({ displayName: "N" }), { id: "o" });
});

test("an answer that is not JSON is not quoted", async (context) => {
  const server = await serving(context, (_, response) => response.end("access_token=s3cret"));
  await assert.rejects(waiting(server.url).oneRuntime.connections.credentials("c"), (error) => {
    assert.equal(error.code, "unexpected_answer");
    assert.ok(!inspect(error).includes("s3cret"));
    return true;
  });
});

test("a redirection is not followed with the key", async (context) => {
  const other = await serving(context, json({}));
  const server = await serving(context, (_, response) => response.writeHead(307, { location: other.url }).end());
  await assert.rejects(waiting(server.url).oneRuntime.organization.get(), { code: "unexpected_answer", status: 307 });
  assert.deepEqual(other.arrived, []);
});

test("a server that is away is told with the reason", async (context) => {
  const server = await serving(context, (request) => request.socket.destroy());
  await assert.rejects(waiting(server.url).oneRuntime.organization.get(), (error) => {
    assert.ok(error instanceof ConnectionFailed);
    assert.equal(error.code, "connection_failed");
    assert.ok(error.message.includes(server.url));
    assert.ok(!inspect(error).includes(KEY));
    return true;
  });
});

test("a server that does not answer is given up", async (context) => {
  const server = await serving(context, silent);
  const told = waiting(server.url, { timeout: 50 }).oneRuntime.organization.get();
  await assert.rejects(told, { name: "ConnectionFailed", code: "timeout" });
});

test("an answer that does not end is given up", async (context) => {
  const server = await serving(context, (_, response) => response.writeHead(200).write("{"));
  const told = waiting(server.url, { timeout: 50 }).oneRuntime.organization.get();
  await assert.rejects(told, { name: "ConnectionFailed", code: "timeout" });
});

test("the caller's signal ends a request with its own reason", async (context) => {
  const reason = new Error("changed my mind");
  const leaving = new AbortController();
  const server = await serving(context, () => leaving.abort(reason));
  const told = waiting(server.url).oneRuntime.organization.get({ signal: leaving.signal });
  await assert.rejects(told, (error) => error === reason);
});

test("the caller's signal ends a wait too", async (context) => {
  const reason = new Error("changed my mind");
  const leaving = new AbortController();
  const server = await serving(context, problem("rate_limited", 429, { "retry-after": "30" }));
  const counting = async (...given) => {
    const answer = await fetch(...given);
    setImmediate(() => leaving.abort(reason));
    return answer;
  };
  const oneRuntime = new OneRuntime({ baseUrl: server.url, apiKey: KEY, fetch: counting });
  await assert.rejects(oneRuntime.organization.get({ signal: leaving.signal }), (error) => error === reason);
});

test("an address below a path is kept", async (context) => {
  const server = await serving(context, json({ id: "o" }));
  await waiting(`${server.url}/one-runtime/`).oneRuntime.organization.get();
  assert.equal(server.arrived[0].url, "/one-runtime/v1/organization");
});

test("the key is in no picture of the client", () => {
  const oneRuntime = client();
  const shown = inspect(oneRuntime, { depth: Infinity, showHidden: true }) + JSON.stringify(oneRuntime);
  assert.ok(!shown.includes(KEY));
});

test("what cannot be a key is refused without a word of it", () => {
  for (const apiKey of [undefined, "", `${KEY}\n`, `${KEY} `]) {
    assert.throws(
      () => client({ apiKey }),
      (error) => error instanceof TypeError && !error.message.includes(KEY),
    );
  }
});

test("what cannot be an address or a time is refused", () => {
  for (const baseUrl of [
    undefined,
    "example.com",
    "ftp://example.com",
    "https://a:b@example.com",
    "https://a@example.com",
    "https://a.example/?b",
  ]) {
    assert.throws(() => client({ baseUrl }), TypeError);
  }
  assert.throws(() => client({ timeout: 0 }), TypeError);
});

test("a path variable cannot lead to another route", async (context) => {
  const server = await serving(context, json({}));
  const { oneRuntime } = waiting(server.url);
  for (const id of ["", ".", "..", undefined, 7]) await assert.rejects(oneRuntime.connections.delete(id), TypeError);
  await oneRuntime.connections.get("../a?b");
  assert.deepEqual(
    server.arrived.map((one) => one.url),
    ["/v1/connections/..%2Fa%3Fb"],
  );
});
