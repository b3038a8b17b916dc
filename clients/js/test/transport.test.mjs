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

/** A client of the server, and the waits before its retries. */
function waiting(url, options = {}) {
  const waited = [];
  const sleep = async (milliseconds) => {
    waited.push(milliseconds);
  };
  return { waited, oneRuntime: new OneRuntime({ baseUrl: url, apiKey: KEY, sleep, ...options }) };
}

const silent = () => {};
const ORGANIZATION = { id: "o", display_name: "N", allowed_origins: [] };
const SESSION = { id: "s", session_token: "orcs_test", connect_url: "https://a.example" };
const CONNECTION = { id: "c", integration_slug: "acme", name: "N", is_default: false, end_user_id: "u", status: "active" };
const KEYED = "idempotency-key";
const broken = (request) => request.socket.destroy();
/** Milliseconds of the waits without Retry-After. */
const SCHEDULE = [500, 1000, 2000, 4000, 8000, 8000];

/** Compares the waits with the waits of the schedule, which a random part makes up to a quarter longer. */
function assertWaits(waited, schedule) {
  assert.equal(waited.length, schedule.length);
  for (const [place, wait] of schedule.entries()) {
    assert.ok(waited[place] >= wait && waited[place] <= 1.25 * wait, `${waited[place]} instead of ${wait}`);
  }
}

test("an unknown key is unauthenticated", async () => {
  await assert.rejects(client({ apiKey: "oru_nobody" }).organization.get(), (error) => {
    assert.ok(error instanceof Unauthenticated);
    assert.equal(error.name, "Unauthenticated");
    assert.ok(!inspect(error).includes("oru_nobody"));
    return true;
  });
});

test("a busy server is asked again after Retry-After", async (context) => {
  const server = await serving(context, problem("rate_limited", 429, { "retry-after": "7" }), json(ORGANIZATION));
  const { waited, oneRuntime } = waiting(server.url);
  assert.deepEqual(await oneRuntime.organization.get(), { id: "o", displayName: "N", allowedOrigins: [] });
  assertWaits(waited, [7000]);
});

test("without Retry-After each wait is up to 8 seconds long, and the seventh refusal is thrown", async (context) => {
  const server = await serving(context, problem("database_busy", 503));
  const { waited, oneRuntime } = waiting(server.url);
  await assert.rejects(oneRuntime.sessions.create({ endUserId: "u" }), (error) => {
    assert.ok(error instanceof Unavailable);
    assert.equal(error.code, "database_busy");
    return true;
  });
  assertWaits(waited, SCHEDULE);
  assert.deepEqual(
    server.arrived.map((item) => item.body),
    Array(7).fill('{"end_user_id":"u"}'),
  );
});

test("retries outlast a restart of two workers, which took up to 22 seconds on two busy cores", async (context) => {
  const refusals = SCHEDULE.map(() => problem("unavailable", 503));
  const server = await serving(context, ...refusals, json(ORGANIZATION));
  const { waited, oneRuntime } = waiting(server.url);
  assert.equal((await oneRuntime.organization.get()).id, "o");
  assertWaits(waited, SCHEDULE);
  assert.ok(waited.reduce((sum, wait) => sum + wait) > 22_000);
});

test("a call waits up to 30 seconds in total", async (context) => {
  for (const [seconds, schedule] of [[[12, 18, 1], [12_000, 18_000]], [[12, 19], [12_000]]]) {
    const refusals = seconds.map((wait) => problem("rate_limited", 429, { "retry-after": `${wait}` }));
    const server = await serving(context, ...refusals);
    const { waited, oneRuntime } = waiting(server.url);
    await assert.rejects(oneRuntime.organization.get(), RateLimited);
    assertWaits(waited, schedule);
  }
});

test("a Retry-After above 30 seconds is not waited for", async (context) => {
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
  test(`${code} is not retried`, async (context) => {
    const server = await serving(context, problem(code, status));
    await assert.rejects(waiting(server.url).oneRuntime.organization.get(), { code, status, requestId: "r-1" });
    assert.equal(server.arrived.length, 1);
  });
}

for (const [code, status, name] of [
  ["credentials_refused", 422, "InvalidInput"],
  ["malformed_request", 400, "InvalidInput"],
  ["target_refused", 422, "InvalidInput"],
  ["key_not_in_ring", 503, "Unavailable"],
  ["too_many_attempts", 429, "RateLimited"],
  ["of_a_later_version", 404, "NotFound"],
  ["of_a_later_version", 422, "InvalidInput"],
  ["of_a_later_version", 409, "Conflict"],
  ["of_a_later_version", 418, "OneRuntimeError"],
]) {
  test(`${code} with the status ${status} is a ${name}`, async (context) => {
    const server = await serving(context, problem(code, status));
    await assert.rejects(waiting(server.url).oneRuntime.organization.get(), { name, code, status });
  });
}

test("needs_reauth throws ConnectRequired", async (context) => {
  const server = await serving(context, problem("needs_reauth", 409));
  await assert.rejects(waiting(server.url).oneRuntime.connections.refresh("c"), ConnectRequired);
});

test("the page of a load balancer is an unexpected answer", async (context) => {
  const server = await serving(context, page(404, { "request-id": "r-2" }));
  const call = waiting(server.url).oneRuntime.organization.get();
  await assert.rejects(call, { name: "OneRuntimeError", code: "unexpected_answer", status: 404, requestId: "r-2" });
});

for (const status of [429, 503]) {
  test(`a ${status} of a load balancer is not retried`, async (context) => {
    const server = await serving(context, page(status));
    const call = waiting(server.url).oneRuntime.sessions.create({ endUserId: "u" });
    await assert.rejects(call, { name: "OneRuntimeError", code: "unexpected_answer", status });
    assert.equal(server.arrived.length, 1);
  });
}

test("an endless page is cancelled", { timeout: 10_000 }, async (context) => {
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

test("JSON with a code but another media type is an unexpected answer", async (context) => {
  const server = await serving(context, json({ code: "database_busy" }, 503));
  await assert.rejects(waiting(server.url).oneRuntime.organization.get(), { code: "unexpected_answer" });
  assert.equal(server.arrived.length, 1);
});

for (const [method, ask] of [
  ["POST", (oneRuntime) => oneRuntime.connections.refresh("c")],
  ["PATCH", (oneRuntime) => oneRuntime.connections.update("c", { name: "n" })],
]) {
  test(`${method} is not retried if it may have succeeded`, async (context) => {
    const server = await serving(context, problem("unavailable", 503), broken);
    await assert.rejects(ask(waiting(server.url).oneRuntime), Unavailable);
    await assert.rejects(ask(waiting(server.url).oneRuntime), ConnectionFailed);
    assert.deepEqual(server.arrived.map((item) => item.headers[KEYED]), [undefined, undefined]);
  });

  test(`${method} is retried if it changed nothing`, async (context) => {
    const server = await serving(context, problem("database_busy", 503), problem("rate_limited", 429), json(CONNECTION));
    await ask(waiting(server.url).oneRuntime);
    assert.deepEqual(server.arrived.map((item) => item.method), Array(3).fill(method));
  });
}

test("a call that creates something is retried with the same key, and another call has another key", async (context) => {
  const server = await serving(context, problem("unavailable", 503), broken, json(SESSION));
  const { oneRuntime } = waiting(server.url);
  for (const input of [{ endUserId: "u" }, { endUserId: "u" }]) await oneRuntime.sessions.create(input);
  await oneRuntime.sessions.create({ endUserId: "u" }, { idempotencyKey: "mine" });
  const keys = server.arrived.map((item) => item.headers[KEYED]);
  assert.match(keys[0], /^[0-9a-f-]{36}$/);
  assert.deepEqual(keys, [keys[0], keys[0], keys[0], keys[3], "mine"]);
  assert.notEqual(keys[3], keys[0]);
});

test("a creation waits for an earlier attempt with its key, and a key in the headers is kept", async (context) => {
  const server = await serving(context, problem("idempotency_key_in_use", 409, { "retry-after": "1" }), json(SESSION));
  const { waited, oneRuntime } = waiting(server.url);
  await oneRuntime.sessions.create({ endUserId: "u" }, { headers: { [KEYED]: "mine" } });
  assertWaits(waited, [1000]);
  assert.deepEqual(server.arrived.map((item) => item.headers[KEYED]), ["mine", "mine"]);
});

test("a broken connection is retried for an idempotent request, and a timeout is not", async (context) => {
  const server = await serving(context, broken, broken, json(ORGANIZATION), silent);
  const { waited, oneRuntime } = waiting(server.url);
  assert.equal((await oneRuntime.organization.get()).id, "o");
  assertWaits(waited, [500, 1000]);
  await assert.rejects(oneRuntime.organization.get({ timeout: 50 }), { code: "timeout" });
  assert.equal(server.arrived.length, 4);
});

test("maxRetries of a call and of the client limits the retries", async (context) => {
  const server = await serving(context, problem("rate_limited", 429));
  const { waited, oneRuntime } = waiting(server.url, { maxRetries: 3 });
  await assert.rejects(oneRuntime.organization.get(), RateLimited);
  assertWaits(waited, [500, 1000, 2000]);
  await assert.rejects(oneRuntime.organization.get({ maxRetries: 0 }), RateLimited);
  assert.equal(server.arrived.length, 5);
  for (const maxRetries of [-1, 0.5, "2"]) assert.throws(() => client({ maxRetries }), TypeError);
});

test("the waits have a random part", async (context) => {
  const server = await serving(context, problem("rate_limited", 429));
  const { waited, oneRuntime } = waiting(server.url);
  await assert.rejects(oneRuntime.organization.get(), RateLimited);
  assert.equal(new Set(waited.map((wait, retry) => wait / SCHEDULE[retry])).size, waited.length);
});

test("a call has its own timeout", async (context) => {
  const server = await serving(context, silent);
  await assert.rejects(waiting(server.url).oneRuntime.organization.get({ timeout: 50 }), { code: "timeout" });
});

test("an idempotent request is retried after every 503 of One Runtime", async (context) => {
  const server = await serving(context, problem("unavailable", 503), problem("unavailable", 503), json(ORGANIZATION));
  assert.deepEqual(await waiting(server.url).oneRuntime.organization.replace({ displayName: "N" }), { id: "o", displayName: "N", allowedOrigins: [] });
});

test("an error does not quote an answer that is not JSON", async (context) => {
  const server = await serving(context, (_, response) => response.end("access_token=s3cret"));
  await assert.rejects(waiting(server.url).oneRuntime.connections.credentials("c"), (error) => {
    assert.equal(error.code, "unexpected_answer");
    assert.ok(!inspect(error).includes("s3cret"));
    return true;
  });
});

test("a redirect is not followed", async (context) => {
  const other = await serving(context, json({}));
  const server = await serving(context, (_, response) => response.writeHead(307, { location: other.url }).end());
  await assert.rejects(waiting(server.url).oneRuntime.organization.get(), { code: "unexpected_answer", status: 307 });
  assert.deepEqual(other.arrived, []);
});

test("an unreachable server is a connection_failed error with the reason", async (context) => {
  const server = await serving(context, (request) => request.socket.destroy());
  await assert.rejects(waiting(server.url).oneRuntime.organization.get(), (error) => {
    assert.ok(error instanceof ConnectionFailed);
    assert.equal(server.arrived.length, 7);
    assert.equal(error.code, "connection_failed");
    assert.ok(error.message.includes(server.url));
    assert.ok(!inspect(error).includes(KEY));
    return true;
  });
});

test("a silent server is a timeout", async (context) => {
  const server = await serving(context, silent);
  const call = waiting(server.url, { timeout: 50 }).oneRuntime.organization.get();
  await assert.rejects(call, { name: "ConnectionFailed", code: "timeout" });
});

test("an endless answer is a timeout", async (context) => {
  const server = await serving(context, (_, response) => response.writeHead(200).write("{"));
  const call = waiting(server.url, { timeout: 50 }).oneRuntime.organization.get();
  await assert.rejects(call, { name: "ConnectionFailed", code: "timeout" });
});

test("the caller's signal ends a request with its own reason", async (context) => {
  const reason = new Error("changed my mind");
  const leaving = new AbortController();
  const server = await serving(context, () => leaving.abort(reason));
  const call = waiting(server.url).oneRuntime.organization.get({ signal: leaving.signal });
  await assert.rejects(call, (error) => error === reason);
});

test("the caller's signal ends a wait", async (context) => {
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

test("baseUrl may have a path", async (context) => {
  const server = await serving(context, json(ORGANIZATION));
  await waiting(`${server.url}/one-runtime/`).oneRuntime.organization.get();
  assert.equal(server.arrived[0].url, "/one-runtime/v1/organization");
});

test("inspecting the client does not show the key", () => {
  const oneRuntime = client();
  const shown = inspect(oneRuntime, { depth: Infinity, showHidden: true }) + JSON.stringify(oneRuntime);
  assert.ok(!shown.includes(KEY));
});

test("an invalid key is refused and not quoted", () => {
  for (const apiKey of ["", `${KEY}\n`, `${KEY} `]) {
    assert.throws(
      () => client({ apiKey }),
      (error) => error instanceof TypeError && !error.message.includes(KEY),
    );
  }
});

test("an invalid address or timeout is refused", () => {
  for (const baseUrl of [
    "",
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
  const server = await serving(context, json(CONNECTION));
  const { oneRuntime } = waiting(server.url);
  for (const id of ["", ".", "..", undefined, 7]) await assert.rejects(oneRuntime.connections.delete(id), TypeError);
  await oneRuntime.connections.get("../a?b");
  assert.deepEqual(
    server.arrived.map((item) => item.url),
    ["/v1/connections/..%2Fa%3Fb"],
  );
});
