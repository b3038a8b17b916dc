import assert from "node:assert/strict";
import { test } from "node:test";

import { InvalidInput, NotFound } from "@one-runtime/client";

import { ACME_KEYS, ACME_URL, client, connect, READ_KEY } from "./installation.mjs";

test("a connection is imported, read, renamed, checked, refreshed and deleted", async () => {
  const { connections } = client();
  const made = await connect(client(), "user_whole", { metadata: { plan_id: "a" } });
  assert.equal((await connections.get(made.id)).integrationSlug, "acme");
  const changed = await connections.update(made.id, { name: "Sales", metadata: { planId: 1, plan_id: 2 } });
  assert.equal(changed.name, "Sales");
  assert.deepEqual(changed.metadata, { planId: 1, plan_id: 2 });
  const checked = await connections.check(made.id);
  assert.equal(checked.working, true);
  assert.equal(checked.connection.id, made.id);
  assert.equal((await connections.refresh(made.id)).id, made.id);
  const deleted = await connections.delete(made.id);
  assert.equal(deleted.revocations[0].connectionId, made.id);
  await assert.rejects(connections.get(made.id), NotFound);
});

test("credentials keep the names that the integration gave them", async () => {
  const made = await connect(client(), "user_credentials");
  const read = await client().connections.credentials(made.id);
  assert.deepEqual(read.credentials, { api_key: ACME_KEYS[0] });
  assert.equal(read.connectionId, made.id);
});

test("credentials want their own scope", async () => {
  const made = await connect(client(), "user_scope");
  await assert.rejects(client({ apiKey: READ_KEY }).connections.credentials(made.id), { code: "insufficient_scope" });
});

test("a refused credential is told with the provider's words and without the credential", async () => {
  const wrong = "acme_wrong0123456789";
  const told = connect(client(), "user_refused", { credentials: { api_key: wrong } });
  await assert.rejects(told, (error) => {
    assert.equal(error.code, "credentials_refused");
    assert.match(error.providerReason, /No Acme CRM account/);
    assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes(wrong));
    return true;
  });
});

test("a missing field is invalid input", async () => {
  await assert.rejects(client().connections.create({ integrationSlug: "acme" }), InvalidInput);
});

test("a key that the provider has revoked makes the connection need its end user", async () => {
  const key = ACME_KEYS[1];
  const made = await connect(client(), "user_revoked", { credentials: { api_key: key } });
  await fetch(`${ACME_URL}/v1/test/revoke`, { method: "POST", headers: { authorization: `Bearer ${key}` } });
  const checked = await client().connections.check(made.id);
  assert.equal(checked.working, false);
  assert.equal(checked.connection.status, "needs_reauth");
});

test("a list runs over all its pages, each time anew", async () => {
  const made = [];
  for (let number = 0; number < 5; number += 1) {
    made.unshift((await connect(client(), "user_paged", { multiple: true, check: false, name: `n${number}` })).name);
  }
  const pages = client().connections.list({ endUserId: "user_paged", limit: 2 });
  const seen = [];
  for await (const one of pages) seen.push(one.name);
  assert.deepEqual(seen, made);
  assert.deepEqual(
    (await pages.toArray()).map((one) => one.name),
    made,
  );
});

test("pages can be turned by hand", async () => {
  for (const name of ["a", "b", "c"]) await connect(client(), "user_turned", { multiple: true, check: false, name });
  const pages = client().connections.list({ endUserId: "user_turned", limit: 2 });
  const first = await pages.page();
  const second = await pages.page(first.nextCursor);
  const names = [first, second].map(({ items }) => items.map((one) => one.name));
  assert.deepEqual(names, [["c", "b"], ["a"]]);
  assert.equal(second.nextCursor, null);
});

test("a list that is left early asks for no more pages", async () => {
  let asked = 0;
  const counting = (...given) => {
    asked += 1;
    return fetch(...given);
  };
  await connect(client(), "user_early", { multiple: true, check: false });
  await connect(client(), "user_early", { multiple: true, check: false });
  for await (const one of client({ fetch: counting }).connections.list({ endUserId: "user_early", limit: 1 })) {
    assert.equal(one.endUserId, "user_early");
    break;
  }
  assert.equal(asked, 1);
});

test("a filter that cannot be is refused in the loop", async () => {
  await assert.rejects(client().connections.list({ status: "asleep" }).toArray(), InvalidInput);
});

test("disconnecting deletes every connection and is safe to repeat", async () => {
  await connect(client(), "user_gone");
  const asked = { integrationSlug: "acme", endUserId: "user_gone" };
  const first = await client().disconnect(asked);
  assert.equal(first.status, "disconnected");
  assert.equal(first.deletedCount, 1);
  assert.equal(first.revocations[0].outcome, "not_supported");
  assert.equal((await client().disconnect(asked)).status, "not_found");
});

test("disconnecting nobody is invalid input", async () => {
  await assert.rejects(client().disconnect({ integrationSlug: "acme" }), InvalidInput);
});
