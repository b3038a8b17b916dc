import assert from "node:assert/strict";
import { test } from "node:test";

import { InvalidInput, NotFound, OneRuntimeError } from "@one-runtime/client";

import { ACME_KEYS, ACME_URL, client, connect, READ_KEY } from "./installation.mjs";

test("a connection is imported, read, renamed, checked, refreshed and deleted", async () => {
  const { connections } = client();
  const created = await connect(client(), "user_whole", { metadata: { plan_id: "a" } });
  assert.equal((await connections.get(created.id)).integrationSlug, "acme");
  const changed = await connections.update(created.id, { name: "Sales", metadata: { planId: 1, plan_id: 2 } });
  assert.equal(changed.name, "Sales");
  assert.deepEqual(changed.metadata, { planId: 1, plan_id: 2 });
  const checked = await connections.check(created.id);
  assert.equal(checked.working, true);
  assert.equal(checked.connection.id, created.id);
  assert.equal((await connections.refresh(created.id)).id, created.id);
  const deleted = await connections.delete(created.id);
  assert.equal(deleted.revocations[0].connectionId, created.id);
  await assert.rejects(connections.get(created.id), NotFound);
});

test("credentials keep the integration's names", async () => {
  const created = await connect(client(), "user_credentials");
  const read = await client().connections.credentials(created.id);
  assert.deepEqual(read.credentials, { api_key: ACME_KEYS[0] });
  assert.equal(read.connectionId, created.id);
});

test("credentials require the scope credentials:read", async () => {
  const created = await connect(client(), "user_scope");
  const call = client({ apiKey: READ_KEY }).connections.credentials(created.id);
  await assert.rejects(call, { code: "insufficient_scope" });
});

test("an error of a refused credential quotes the provider and not the credential", async () => {
  const wrong = "acme_wrong0123456789";
  const call = connect(client(), "user_refused", { credentials: { api_key: wrong } });
  await assert.rejects(call, (error) => {
    assert.equal(error.code, "credentials_refused");
    assert.match(error.providerReason, /No Acme CRM account/);
    assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes(wrong));
    return true;
  });
});

test("an error lists the connections that an import can mean", async () => {
  const add = (name, more) => connect(client(), "user_several", { name, check: false, ...more });
  const [first, second] = [await add("First", { multiple: true }), await add("Second", { multiple: true })];
  await assert.rejects(add("Third"), (error) => {
    assert.equal(error.code, "several_connections");
    assert.deepEqual(error.connections.map(({ id, status }) => [id, status]), [[second.id, "active"], [first.id, "active"]]);
    assert.equal(OneRuntimeError.from(JSON.parse(JSON.stringify(error))).connections[1].createdAt, first.createdAt);
    return true;
  });
  assert.equal((await add("Third", { connectionId: first.id })).id, first.id);
});

test("a missing field is invalid input", async () => {
  await assert.rejects(client().connections.create({ integrationSlug: "acme" }), InvalidInput);
});

test("a key that the provider revoked makes the connection needs_reauth", async () => {
  const key = ACME_KEYS[1];
  const created = await connect(client(), "user_revoked", { credentials: { api_key: key } });
  await fetch(`${ACME_URL}/v1/test/revoke`, { method: "POST", headers: { authorization: `Bearer ${key}` } });
  const checked = await client().connections.check(created.id);
  assert.equal(checked.working, false);
  assert.equal(checked.connection.status, "needs_reauth");
});

test("each loop over a list reads all pages", async () => {
  const created = [];
  for (let number = 0; number < 5; number += 1) {
    created.unshift((await connect(client(), "user_paged", { multiple: true, check: false, name: `n${number}` })).name);
  }
  const pages = client().connections.list({ endUserId: "user_paged", limit: 2 });
  const seen = [];
  for await (const item of pages) seen.push(item.name);
  assert.deepEqual(seen, created);
  assert.deepEqual(
    (await pages.toArray()).map((item) => item.name),
    created,
  );
});

test("a page is requested by its cursor", async () => {
  for (const name of ["a", "b", "c"]) await connect(client(), "user_turned", { multiple: true, check: false, name });
  const pages = client().connections.list({ endUserId: "user_turned", limit: 2 });
  const first = await pages.page();
  const second = await pages.page(first.nextCursor);
  const names = [first, second].map(({ items }) => items.map((item) => item.name));
  assert.deepEqual(names, [["c", "b"], ["a"]]);
  assert.equal(second.nextCursor, null);
});

test("a loop that ends early requests no further page", async () => {
  let asked = 0;
  const counting = (...given) => {
    asked += 1;
    return fetch(...given);
  };
  await connect(client(), "user_early", { multiple: true, check: false });
  await connect(client(), "user_early", { multiple: true, check: false });
  for await (const item of client({ fetch: counting }).connections.list({ endUserId: "user_early", limit: 1 })) {
    assert.equal(item.endUserId, "user_early");
    break;
  }
  assert.equal(asked, 1);
});

test("an invalid filter is refused in the loop", async () => {
  await assert.rejects(client().connections.list({ status: "asleep" }).toArray(), InvalidInput);
});

test("disconnect deletes every connection, and a second call is harmless", async () => {
  await connect(client(), "user_gone");
  const asked = { integrationSlug: "acme", endUserId: "user_gone" };
  const first = await client().disconnect(asked);
  assert.equal(first.status, "disconnected");
  assert.equal(first.deletedCount, 1);
  assert.equal(first.revocations[0].outcome, "not_supported");
  assert.equal((await client().disconnect(asked)).status, "not_found");
});

test("disconnect without an end user is invalid input", async () => {
  await assert.rejects(client().disconnect({ integrationSlug: "acme" }), InvalidInput);
});
