import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";

import { ConnectRequired, InvalidInput, OneRuntime, Unavailable } from "@one-runtime/client";

import { KEY, URL_OF_US } from "./installation.mjs";
import { page, problem, RELAYED, relayed, serving } from "./server.mjs";

const oneRuntime = new OneRuntime({ baseUrl: URL_OF_US, apiKey: KEY });
const user = { endUserId: "user_123" };

/** The request that the provider received and echoed. */
async function arrived(response) {
  assert.equal(response.status, 200);
  return response.json();
}

test("a call arrives with its query and the end user's credential, and without the API key", async () => {
  const response = await oneRuntime.proxy.get("raw", "/a%2Fb?x=1", {
    ...user,
    query: { tag: ["a b", "c"], none: null },
  });
  const request = await arrived(response);
  assert.equal(request.line, "GET /api/a%2Fb?x=1&tag=a+b&tag=c HTTP/1.1");
  assert.equal(request.headers["x-key"], "key-0123456789abcdef");
  assert.equal(request.headers.authorization, undefined);
  assert.ok(response.headers.get("one-runtime-connection"));
});

test("of the headers that fetch adds, the provider receives only those about the content", async () => {
  const request = await arrived(await oneRuntime.proxy.get("raw", "/x", user));
  const names = Object.keys(request.headers).sort();
  assert.deepEqual(names, ["accept", "accept-encoding", "host", "user-agent", "x-key", "x-version"]);
  const headers = { "accept-language": "de" };
  const german = await arrived(await oneRuntime.proxy.get("raw", "/x", { ...user, headers }));
  assert.equal(german.headers["accept-language"], "de");
});

test("calls are listed about a second after they ended", { timeout: 10_000 }, async () => {
  await oneRuntime.proxy.get("raw", "/listed?secret=1", user);
  let listed = [];
  while (!listed.some(({ path }) => path === "/listed")) {
    listed = await oneRuntime.proxyRequests.list({ ...user, integrationSlug: "raw" }).toArray();
  }
  const line = listed.find(({ path }) => path === "/listed");
  assert.deepEqual([line.method, line.httpStatus, line.errorCode, line.attempts], ["GET", 200, null, 1]);
  assert.ok(line.upstreamMs <= line.durationMs);
});

for (const method of ["post", "put", "patch", "delete"]) {
  test(`${method} sends JSON with unchanged keys`, async () => {
    const request = await arrived(
      await oneRuntime.proxy[method]("raw", "/x", { ...user, json: { firstName: "Ada", last_name: 1 } }),
    );
    assert.equal(request.line, `${method.toUpperCase()} /api/x HTTP/1.1`);
    assert.equal(request.headers["content-type"], "application/json");
    assert.deepEqual(JSON.parse(request.body), { firstName: "Ada", last_name: 1 });
  });
}

test("head has headers and no body", async () => {
  const response = await oneRuntime.proxy.head("raw", "/x", user);
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "");
});

test("request takes any method, headers and text", async () => {
  const headers = { "x-mine": "yes", "content-type": "text/plain" };
  const response = await oneRuntime.proxy.request("patch", "raw", "/x", { ...user, headers, body: "words" });
  const request = await arrived(response);
  assert.equal(request.line, "PATCH /api/x HTTP/1.1");
  assert.equal(request.headers["x-mine"], "yes");
  assert.equal(request.headers["content-type"], "text/plain");
  assert.equal(request.body, "words");
});

test("the caller's authorization is not sent, and the caller's content type is", async () => {
  const headers = { authorization: "Bearer theirs", "content-type": "application/vnd.api+json" };
  const request = await arrived(await oneRuntime.proxy.post("raw", "/x", { ...user, headers, json: {} }));
  assert.equal(request.headers["content-type"], "application/vnd.api+json");
  assert.equal(request.headers.authorization, undefined);
});

test("a query may contain dots", async () => {
  const request = await arrived(await oneRuntime.proxy.get("raw", "/x?next=/../a", user));
  assert.equal(request.line, "GET /api/x?next=/../a HTTP/1.1");
});

test("bytes and forms are sent, and sent again in a retry", async (context) => {
  const server = await serving(context, busy(), relayed(200));
  const patient = new OneRuntime({ baseUrl: server.url, apiKey: KEY, sleep: async () => {} });
  const form = new FormData();
  form.set("name", "Ada");
  await patient.proxy.post("raw", "/x", { ...user, body: form });
  await patient.proxy.post("raw", "/x", { ...user, body: Buffer.from("bytes") });
  assert.ok(server.arrived[1].body.includes("Ada"));
  assert.equal(server.arrived[2].body, "bytes");
});

test("a stream is sent", async () => {
  const body = Readable.from([Buffer.from("one "), Buffer.from("two")]);
  assert.equal((await arrived(await oneRuntime.proxy.post("raw", "/x", { ...user, body }))).body, "one two");
  const web = new Blob(["three"]).stream();
  assert.equal((await arrived(await oneRuntime.proxy.post("raw", "/x", { ...user, body: web }))).body, "three");
});

test("connectionId selects a connection", async () => {
  const [connection] = await oneRuntime.connections.list({ integrationSlug: "raw", endUserId: "user_123" }).toArray();
  const response = await oneRuntime.proxy.get("raw", "/x", { connectionId: connection.id });
  await arrived(response);
  assert.equal(response.headers.get("one-runtime-connection"), connection.id);
});

test("an end user's identifier may be any text", async () => {
  const endUserId = "ünï 用户";
  const made = { integrationSlug: "raw", endUserId, authType: "api_key", check: false };
  const { id } = await oneRuntime.connections.create({ ...made, credentials: { api_key: "key-of-another" } });
  const response = await oneRuntime.proxy.get("raw", "/x", { endUserId });
  assert.equal(response.headers.get("one-runtime-connection"), id);
});

for (const status of [307, 400, 401, 404, 409, 429, 500, 503]) {
  test(`a provider's ${status} is a result and is not retried`, async () => {
    const response = await oneRuntime.proxy.get("raw", `/status/${status}`, user);
    assert.equal(response.status, status);
    assert.equal(response.headers.get("one-runtime-attempts"), "1");
    assert.equal((await response.json()).line, `GET /api/status/${status} HTTP/1.1`);
  });
}

test("retry lets One Runtime repeat the call", async () => {
  const response = await oneRuntime.proxy.get("raw", "/status/503", { ...user, retry: true });
  assert.equal(response.headers.get("one-runtime-attempts"), "3");
});

test("baseUrl selects another address of the integration", async () => {
  const where = (await arrived(await oneRuntime.proxy.get("raw", "/x", user))).headers.host;
  const response = await oneRuntime.proxy.get("raw", "/x", { ...user, baseUrl: `http://${where}/upload` });
  assert.equal((await arrived(response)).line, "GET /upload/x HTTP/1.1");
});

test("a call without a connection throws ConnectRequired", async () => {
  await assert.rejects(oneRuntime.proxy.get("raw", "/x", { endUserId: "stranger" }), (error) => {
    assert.ok(error instanceof ConnectRequired);
    assert.equal(error.code, "connect_required");
    assert.equal(error.status, 409);
    assert.ok(error.requestId);
    return true;
  });
});

test("an error without a body throws ConnectRequired", async () => {
  await assert.rejects(oneRuntime.proxy.head("raw", "/x", { endUserId: "stranger" }), ConnectRequired);
});

test("a call without a connection selector is invalid input, and an unknown integration is not listed", async () => {
  await assert.rejects(oneRuntime.proxy.get("raw", "/x"), InvalidInput);
  await assert.rejects(oneRuntime.proxy.get("no-such-thing", "/x", user), { name: "NotFound", code: "not_found" });
});

test("a path that fetch would resolve to another address is not sent", async () => {
  for (const path of [
    "x",
    "/../../organization",
    "/a/%2E%2e/b",
    "/a/.",
    "/a\\..\\b",
    "/a/.\t./b",
    "/a#b",
    "/.. ",
    undefined,
  ]) {
    await assert.rejects(oneRuntime.proxy.get("raw", path, user), TypeError, String(path));
  }
  await assert.rejects(oneRuntime.proxy.get("..", "/x", user), TypeError);
});

test("an impossible request is not sent", async () => {
  await assert.rejects(oneRuntime.proxy.get("raw", "/x", { ...user, body: "words" }), TypeError);
  await assert.rejects(oneRuntime.proxy.post("raw", "/x", { ...user, body: "words", json: {} }), TypeError);
});

const busy = () => problem("too_many_calls", 429, { "one-runtime-error": "too_many_calls", "retry-after": "1" });

test("a refusal of One Runtime is retried with the body", async (context) => {
  const server = await serving(context, busy(), relayed(429, "theirs"));
  const waited = [];
  const patient = new OneRuntime({ baseUrl: server.url, apiKey: KEY, sleep: async (time) => waited.push(time) });
  const response = await patient.proxy.post("raw", "/x", { ...user, json: { a: 1 } });
  assert.equal(response.status, 429);
  assert.equal(await response.text(), "theirs");
  assert.ok(waited.length === 1 && waited[0] >= 1000 && waited[0] <= 1250);
  assert.deepEqual(
    server.arrived.map((item) => item.body),
    ['{"a":1}', '{"a":1}'],
  );
});

test("a request with a stream is not retried", async (context) => {
  const server = await serving(context, problem("database_busy", 503, { "one-runtime-error": "database_busy" }));
  const patient = new OneRuntime({ baseUrl: server.url, apiKey: KEY, sleep: async () => {} });
  await assert.rejects(patient.proxy.post("raw", "/x", { ...user, body: Readable.from(["once"]) }), Unavailable);
  assert.equal(server.arrived.length, 1);
});

for (const [status, headers] of [
  [200, {}],
  [301, { location: "https://elsewhere.example/" }],
  [404, {}],
  [429, { "retry-after": "1" }],
  [502, {}],
  [503, {}],
]) {
  test(`a ${status} of another server is an unexpected answer and is not retried`, async (context) => {
    const server = await serving(context, page(status, headers));
    const call = new OneRuntime({ baseUrl: server.url, apiKey: KEY }).proxy.get("raw", "/x", user);
    await assert.rejects(call, { name: "OneRuntimeError", code: "unexpected_answer", status });
    assert.equal(server.arrived.length, 1);
  });
}

test("a wrong baseUrl is an unexpected answer", async () => {
  const elsewhere = new OneRuntime({ baseUrl: `${URL_OF_US}/elsewhere`, apiKey: KEY });
  await assert.rejects(elsewhere.proxy.get("raw", "/x", user), { code: "unexpected_answer", status: 404 });
});

test("the timer ends with the headers, and the caller's signal with the body", async (context) => {
  const reason = new Error("enough");
  const leaving = new AbortController();
  const server = await serving(context, (_, response) => response.writeHead(200, RELAYED).write("begun"));
  const patient = new OneRuntime({ baseUrl: server.url, apiKey: KEY });
  const response = await patient.proxy.get("raw", "/x", { ...user, signal: leaving.signal });
  const reader = response.body.getReader();
  assert.equal(Buffer.from((await reader.read()).value).toString(), "begun");
  leaving.abort(reason);
  await assert.rejects(reader.read(), (error) => error === reason);
});
