import assert from "node:assert/strict";
import { test } from "node:test";

import { fetchHandler, OneRuntime } from "@one-runtime/client";

import { KEY } from "./installation.mjs";
import { json, problem, serving } from "./server.mjs";

const SESSION = { id: "s", session_token: "orcs_test", connect_url: "https://a.example" };

/** A request of a page to a route of the handler. */
function asked(headers = {}) {
  const sent = { "content-type": "application/json", "sec-fetch-site": "same-origin", ...headers };
  return new Request("https://app.example.com/api/sessions", { method: "POST", headers: sent, body: "{}" });
}

test("an error that concerns the configuration is thrown, and the browser's error is answered", async (context) => {
  const server = await serving(context, problem("unauthenticated", 401), problem("not_found", 404));
  const client = new OneRuntime({ baseUrl: server.url, apiKey: KEY });
  const handle = fetchHandler({ client, user: () => ({ id: "u" }) });
  await assert.rejects(handle(asked()), { name: "Unauthenticated" });
  const answer = await handle(asked());
  assert.deepEqual([answer.status, await answer.json()], [404, { code: "not_found", detail: "It is not_found." }]);
});

test("options of the session cannot replace the end user, and an allowed origin can send requests", async (context) => {
  const server = await serving(context, json(SESSION));
  const client = new OneRuntime({ baseUrl: server.url, apiKey: KEY });
  const session = { endUserId: "other", metadata: { plan: "a" } };
  const allowedOrigins = ["https://pages.example.com"];
  const handle = fetchHandler({ client, session, allowedOrigins, user: async () => ({ id: "u", email: "u@a.example" }) });
  const answer = await handle(asked({ "sec-fetch-site": "same-site", origin: "https://pages.example.com" }));
  assert.equal(answer.headers.get("cache-control"), "no-store");
  const expected = { end_user_email: "u@a.example", end_user_id: "u", metadata: { plan: "a" } };
  assert.deepEqual(JSON.parse(server.arrived[0].body), expected);
});

test("a user without an id is a mistake of the backend", async (context) => {
  const server = await serving(context, json(SESSION));
  const client = new OneRuntime({ baseUrl: server.url, apiKey: KEY });
  for (const user of [{}, { id: "" }, { id: 7 }]) {
    await assert.rejects(fetchHandler({ client, user: () => user })(asked()), TypeError);
  }
  assert.deepEqual(server.arrived, []);
});
