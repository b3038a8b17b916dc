import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import { inspect } from "node:util";

import { forward, OneRuntime, OPERATIONS } from "@one-runtime/client";

import { client, connect, KEY, URL_OF_US } from "./installation.mjs";
import { json, RELAYED, serving } from "./server.mjs";

const CREATED = { id: "s", session_token: "orcs_s3cret", connect_url: "https://a.example/connect?session_token=orcs_s3cret" };

/** Calls a method with a value for each variable of its path, and an input. */
function called(oneRuntime, name) {
  const method = name.split(".").reduce((inside, part) => inside[part], oneRuntime);
  const variables = OPERATIONS[name].path.match(/\{/g) ?? [];
  const answer = method(...variables.map(() => "v"), { endUserId: "u" });
  return OPERATIONS[name].paged ? answer.page() : answer;
}

for (const [what, answer] of [
  ["an empty object", {}],
  ["an empty list", []],
  ["null", null],
  ["text", "Welcome"],
  ["lists of other things", Object.fromEntries(Object.values(OPERATIONS).map(({ items }) => [items, [{}, 1]]))],
  ["an object in place of each list", Object.fromEntries(Object.values(OPERATIONS).map(({ items }) => [items, {}]))],
]) {
  test(`every method refuses ${what} of another server`, async (context) => {
    const server = await serving(context, json(answer, 200, { "request-id": "r-3" }));
    const oneRuntime = new OneRuntime({ baseUrl: server.url, apiKey: KEY });
    const names = Object.keys(OPERATIONS).filter((name) => OPERATIONS[name].returns);
    for (const name of names) {
      const expected = { code: "unexpected_answer", status: 200, requestId: "r-3" };
      await assert.rejects(called(oneRuntime, name), expected, name);
    }
    assert.ok(names.length > 20);
  });
}

test("the last page has nextCursor null, and a page without nextCursor is refused", async (context) => {
  const server = await serving(context, json({ connections: [], next_cursor: null }), json({ connections: [] }));
  const oneRuntime = new OneRuntime({ baseUrl: server.url, apiKey: KEY });
  assert.deepEqual(await oneRuntime.connections.list().toArray(), []);
  await assert.rejects(oneRuntime.connections.list().toArray(), { code: "unexpected_answer" });
});

test("printing does not show tokens, but JSON, copies and properties do", async (context) => {
  const credentials = { connection_id: "c", integration_slug: "acme", auth_type: "api_key", credentials: { api_key: "s3cret" } };
  const server = await serving(context, json(CREATED), json(credentials));
  const oneRuntime = new OneRuntime({ baseUrl: server.url, apiKey: KEY });
  for (const answer of [await oneRuntime.sessions.create({ endUserId: "u" }), await oneRuntime.connections.credentials("c")]) {
    assert.match(inspect({ nested: [answer] }, { depth: 9 }), /'\*\*\*'/);
    assert.doesNotMatch(inspect(answer, { depth: 9 }) + inspect({ nested: [answer] }, { depth: 9 }), /s3cret/);
    assert.match(JSON.stringify(answer), /s3cret/);
    assert.match(JSON.stringify(structuredClone(answer)), /s3cret/);
  }
});

test("onResponse receives the status and the headers of a success", async () => {
  const seen = [];
  await client().organization.get({ onResponse: ({ status, headers }) => seen.push([status, headers.has("request-id")]) });
  await client().endUsers.list({}, { onResponse: ({ status }) => seen.push(status) }).toArray();
  assert.deepEqual(seen, [[200, true], 200]);
});

test("request returns raw responses, and a 304 for a list that has not changed", async () => {
  const oneRuntime = client();
  await connect(oneRuntime, "raw");
  const path = "/v1/integrations?end_user_id=raw&slug=acme&logo=none";
  const first = await oneRuntime.request("GET", path);
  assert.equal((await first.json()).integrations[0].status, "connected");
  const headers = { "if-none-match": first.headers.get("etag") };
  const second = await oneRuntime.request("get", path, { headers });
  assert.deepEqual([second.status, await second.text()], [304, ""]);
  await assert.rejects(oneRuntime.request("GET", "/v1/connections/none"), { name: "NotFound" });
  await assert.rejects(oneRuntime.organization.get({ headers }), TypeError);
  await assert.rejects(oneRuntime.request("GET", "/v1/../admin"), TypeError);
  const created = await oneRuntime.request("POST", "/v1/hosted-connection-sessions", { json: { end_user_id: "raw", mode: "link" } });
  assert.match((await created.json()).session_token, /^orcs_/);
});

test("headers of the client and of a call are sent, and cannot replace the key", async (context) => {
  const server = await serving(context, json({ id: "o", display_name: "N", allowed_origins: [] }));
  const headers = { "x-gateway": "client", "x-both": "client", authorization: "Bearer other" };
  const oneRuntime = new OneRuntime({ baseUrl: server.url, apiKey: KEY, headers });
  await oneRuntime.organization.get({ headers: { "x-both": "call", authorization: "Bearer other" } });
  const [{ headers: sent }] = server.arrived;
  assert.equal(sent.authorization, `Bearer ${KEY}`);
  assert.deepEqual([sent["x-gateway"], sent["x-both"]], ["client", "call"]);
  assert.match(sent["user-agent"], /^one-runtime-js\/\d+\.\d+\.\d+ node\/\d+\./);
});

test("the environment provides the address and the key", (context) => {
  context.after(() => {
    delete process.env.ONE_RUNTIME_API_KEY;
    process.env.ONE_RUNTIME_URL = URL_OF_US;
  });
  assert.throws(() => new OneRuntime(), /ONE_RUNTIME_API_KEY/);
  process.env.ONE_RUNTIME_API_KEY = KEY;
  assert.ok(new OneRuntime());
  delete process.env.ONE_RUNTIME_URL;
  assert.throws(() => new OneRuntime(), /ONE_RUNTIME_URL/);
});

test("a forwarded response has the provider's text, without its encoding, cookies and scripts", async (context) => {
  const server = await serving(context, (_, response) => {
    const headers = { ...RELAYED, "content-type": "text/plain", "content-encoding": "gzip", "set-cookie": "a=b", etag: '"1"' };
    response.writeHead(201, headers).end(gzipSync("contacts"));
  }, (_, response) => response.writeHead(304, RELAYED).end());
  const oneRuntime = new OneRuntime({ baseUrl: server.url, apiKey: KEY });
  const forwarded = forward(await oneRuntime.proxy.get("acme", "/v1/contacts", { endUserId: "u" }));
  assert.deepEqual([forwarded.status, await forwarded.text()], [201, "contacts"]);
  assert.deepEqual(Object.fromEntries(forwarded.headers), {
    "content-security-policy": "sandbox",
    "content-type": "text/plain",
    etag: '"1"',
    "x-content-type-options": "nosniff",
  });
  assert.equal(forward(await oneRuntime.proxy.get("acme", "/v1/contacts", { endUserId: "u" })).status, 304);
});
