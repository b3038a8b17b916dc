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

test("the organization is read and set", async () => {
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

test("an organization without a name is invalid input", async () => {
  await assert.rejects(client().organization.replace({}), InvalidInput);
});

test("end users are listed in pages and forgotten, whatever their identifier holds", async () => {
  const oneRuntime = client();
  const awkward = "a/b?c=%2F#ü$& ..";
  await connect(oneRuntime, awkward, { check: false });
  await connect(oneRuntime, "b", { check: false });
  const listed = await oneRuntime.endUsers.list({ limit: 1 }).toArray();
  assert.deepEqual(
    listed
      .map((one) => one.endUserId)
      .filter((one) => one.length === 1 || one === awkward)
      .sort(),
    [awkward, "b"],
  );
  const forgotten = await oneRuntime.endUsers.delete(awkward);
  assert.equal(forgotten.endUserId, awkward);
  assert.equal(forgotten.deletedConnections, 1);
});

test("forgetting end users wants the scope admin", async () => {
  await assert.rejects(client({ apiKey: READ_KEY }).endUsers.delete("b"), { code: "insufficient_scope", status: 403 });
});

test("an OAuth client is put, read, listed and deleted, and its secret is never told", async () => {
  const { oauthClients } = client();
  const put = await oauthClients.replace("acme", {
    clientId: "client-1",
    clientSecret: "the-secret-that-acme-shows-0123",
    scopes: ["account:read"],
  });
  assert.equal(put.clientSecretLastFour, "0123");
  assert.deepEqual(await oauthClients.get("acme"), put);
  assert.deepEqual(
    (await oauthClients.list()).map((one) => one.integrationSlug),
    ["acme"],
  );
  assert.equal(await oauthClients.delete("acme"), undefined);
  await assert.rejects(oauthClients.get("acme"), NotFound);
});

test("an OAuth client keeps the names of the provider's own fields", async () => {
  const told = client().oauthClients.replace("acme", {
    clientId: "c",
    clientSecret: "s-0123456",
    fields: { devToken: "x" },
  });
  await assert.rejects(told, (error) => error instanceof InvalidInput && error.detail.includes("devToken"));
});

test("an integration of your own is made, replaced, read, listed and deleted", async () => {
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
    (await customIntegrations.list()).map((one) => one.slug),
    ["x-acme-billing"],
  );
  const imported = { integrationSlug: "x-acme-billing", endUserId: "user_custom", authType: "api_key", check: false };
  await client().connections.create({ ...imported, credentials: { api_key: `ab_${"0".repeat(32)}` } });
  await assert.rejects(customIntegrations.delete("x-acme-billing"), { code: "integration_in_use", status: 409 });
  assert.equal(await customIntegrations.delete("x-acme-billing", { deleteConnections: true }), undefined);
});

test("a definition that is wrong is told with what is wrong", async () => {
  const { auth: _, ...without } = DEFINITION;
  await assert.rejects(client().customIntegrations.create(without), (error) => {
    assert.ok(error instanceof InvalidInput);
    assert.ok(error.errors.length > 0);
    return true;
  });
});

test("events are listed, by type and in pages", async () => {
  const made = await connect(client(), "user_events");
  await client().connections.delete(made.id);
  const kinds = (await client().events.list({ connectionId: made.id, limit: 1 }).toArray()).map((one) => one.type);
  assert.deepEqual(kinds, ["connection.deleted", "connection.created"]);
  const [created] = await client().events.list({ type: "connection.created", endUserId: "user_events" }).toArray();
  assert.equal(created.connectionId, made.id);
  assert.ok(created.createdAt);
});

test("a type of event that is none is refused", async () => {
  await assert.rejects(client().events.list({ type: "connection.dreamt" }).toArray(), InvalidInput);
});
