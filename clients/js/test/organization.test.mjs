import assert from "node:assert/strict";
import { test } from "node:test";

import { InvalidInput, NotFound } from "@one-runtime/client";

import { client, connect, READ_KEY } from "./installation.mjs";

const DEFINITION = {
  slug: "x-acme-billing",
  name: "Acme Billing",
  description: "Invoices of Acme's own billing service.",
  category: "Accounting",
  website: "https://acme.example",
  docs: "https://docs.acme.example/api",
  auth: [
    {
      type: "api_key",
      fields: [{ name: "api_key", label: "API key", where: "In Settings.", pattern: "ab_[A-Za-z0-9]{32}" }],
      base_url: "https://billing.acme.example/v1",
      send: { headers: { Authorization: "Bearer {api_key}" } },
      check: { path: "/me", expect: { json: [{ path: "id", exists: true }] } },
      verified: { how: "unverified" },
    },
  ],
};

test("the organization is read and replaced", async () => {
  const { organization } = client();
  const before = await organization.get();
  const set = await organization.replace({
    displayName: "Northwind Traders",
    allowedOrigins: before.allowedOrigins,
    integrations: { mode: "all_but", slugs: ["hubspot"] },
  });
  assert.equal(set.displayName, "Northwind Traders");
  assert.deepEqual(set.integrations, { mode: "all_but", slugs: ["hubspot"] });
  assert.deepEqual(await organization.get(), set);
});

test("the organization is changed in parts", async () => {
  const { organization } = client();
  const before = await organization.get();
  const set = await organization.update({ privacyUrl: "https://example.com/privacy", integrations: { mode: "all" } });
  assert.equal(set.privacyUrl, "https://example.com/privacy");
  assert.deepEqual(set.integrations.mode, "all");
  assert.deepEqual(set.allowedOrigins, before.allowedOrigins);
  assert.equal((await organization.update({ privacyUrl: null })).privacyUrl, null);
});

test("an organization without a name is invalid input", async () => {
  await assert.rejects(client().organization.replace({}), InvalidInput);
});

test("end users with any identifier are listed in pages and deleted", async () => {
  const oneRuntime = client();
  const awkward = "a/b?c=%2F#ü$& ..";
  await connect(oneRuntime, awkward, { check: false });
  await connect(oneRuntime, "b", { check: false });
  const listed = await oneRuntime.endUsers.list({ limit: 1 }).toArray();
  assert.deepEqual(
    listed
      .map((item) => item.endUserId)
      .filter((item) => item.length === 1 || item === awkward)
      .sort(),
    [awkward, "b"],
  );
  const forgotten = await oneRuntime.endUsers.delete(awkward);
  assert.equal(forgotten.endUserId, awkward);
  assert.equal(forgotten.deletedConnections, 1);
});

test("deleting an end user requires the scope admin", async () => {
  await assert.rejects(client({ apiKey: READ_KEY }).endUsers.delete("b"), { code: "insufficient_scope", status: 403 });
});

test("an OAuth client is replaced, read, listed and deleted, and its secret is not returned", async () => {
  const { oauthClients } = client();
  const put = await oauthClients.replace("acme", {
    clientId: "client-1",
    clientSecret: "the-secret-that-acme-shows-0123",
    scopes: ["account:read"],
  });
  assert.equal(put.clientSecretLastFour, "0123");
  assert.deepEqual(await oauthClients.get("acme"), put);
  assert.deepEqual(
    (await oauthClients.list()).map((item) => item.integrationSlug),
    ["acme"],
  );
  assert.equal((await oauthClients.delete("acme")).integrationSlug, "acme");
  await assert.rejects(oauthClients.get("acme"), NotFound);
});

test("keys of an OAuth client's fields stay unchanged", async () => {
  const call = client().oauthClients.replace("acme", {
    clientId: "c",
    clientSecret: "s-0123456",
    fields: { devToken: "x" },
  });
  await assert.rejects(call, (error) => error instanceof InvalidInput && error.detail.includes("devToken"));
});

test("a custom integration is created, replaced, read, listed and deleted", async () => {
  const { customIntegrations } = client();
  const made = await customIntegrations.create(DEFINITION);
  assert.equal(made.slug, "x-acme-billing");
  assert.equal(made.definition.auth[0].base_url, "https://billing.acme.example/v1");
  const yaml = `# ours\n${JSON.stringify({ ...DEFINITION, name: "Billing" })}`;
  const put = await customIntegrations.replace("x-acme-billing", yaml);
  assert.equal(put.name, "Billing");
  assert.equal(put.invalidatedConnections, 0);
  assert.equal((await customIntegrations.get("x-acme-billing")).name, "Billing");
  assert.deepEqual(
    (await customIntegrations.list()).map((item) => item.slug),
    ["x-acme-billing"],
  );
  const imported = { integrationSlug: "x-acme-billing", endUserId: "user_custom", authType: "api_key", check: false };
  await client().connections.create({ ...imported, credentials: { api_key: `ab_${"0".repeat(32)}` } });
  await assert.rejects(customIntegrations.delete("x-acme-billing"), { code: "integration_in_use", status: 409 });
  const deleted = await customIntegrations.delete("x-acme-billing", { deleteConnections: true });
  assert.deepEqual([deleted.slug, deleted.deletedConnections, deleted.revocationCounts.failed], ["x-acme-billing", 1, 0]);
});

test("an invalid definition is refused with its errors", async () => {
  const { auth: _, ...without } = DEFINITION;
  await assert.rejects(client().customIntegrations.create(without), (error) => {
    assert.ok(error instanceof InvalidInput);
    assert.ok(error.errors.length > 0);
    return true;
  });
});

test("events are listed by type and in pages", async () => {
  const made = await connect(client(), "user_events");
  await client().connections.delete(made.id);
  const kinds = (await client().events.list({ connectionId: made.id, limit: 1 }).toArray()).map((item) => item.type);
  assert.deepEqual(kinds, ["connection.deleted", "connection.created"]);
  const [created] = await client().events.list({ type: "connection.created", endUserId: "user_events" }).toArray();
  assert.equal(created.connectionId, made.id);
  assert.ok(created.createdAt);
});

test("an unknown event type is refused", async () => {
  await assert.rejects(client().events.list({ type: "connection.dreamt" }).toArray(), InvalidInput);
});
