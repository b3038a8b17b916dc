import assert from "node:assert/strict";
import { test } from "node:test";

import { InvalidInput, NotFound } from "@one-runtime/client";

import { client, connect, READ_KEY, URL_OF_US } from "./installation.mjs";

test("the list shows what an end user has connected", async () => {
  await connect(client(), "user_list");
  const [acme] = await client().integrations.list({ endUserId: "user_list", slug: ["acme", "nothing"] });
  assert.equal(acme.status, "connected");
  assert.ok(acme.supportedAuthTypes.includes("api_key"));
});

test("a key with the scope read lists integrations", async () => {
  const listed = await client({ apiKey: READ_KEY }).integrations.list({ endUserId: "somebody" });
  assert.ok(listed.length > 1);
});

test("logos are addresses by default", async () => {
  const [linked] = await client().integrations.list({ endUserId: "user_logo", slug: "acme" });
  const [none] = await client().integrations.list({ endUserId: "user_logo", slug: "acme", logo: "none" });
  assert.match(linked.logoUrl, /^http/);
  assert.equal(none.logoUrl, null);
});

test("expand adds the connections of each integration", async () => {
  const { id } = await connect(client(), "user_expand");
  const [acme] = await client().integrations.list({ endUserId: "user_expand", slug: "acme", expand: "connections" });
  assert.deepEqual(
    acme.connections.map((item) => item.id),
    [id],
  );
  assert.ok("lastUsedAt" in acme.connections[0]);
});

test("a list without an end user is refused with the field", async () => {
  await assert.rejects(client().integrations.list({}), (error) => {
    assert.ok(error instanceof InvalidInput);
    assert.equal(error.code, "invalid_input");
    assert.equal(error.status, 422);
    assert.equal(error.errors[0].field, "end_user_id");
    assert.match(error.requestId, /^[0-9a-f-]{36}$/);
    assert.equal(error.message, error.detail);
    return true;
  });
});

test("the catalog is listed, searched and read", async () => {
  const oneRuntime = client();
  const found = await oneRuntime.catalog.list({ search: "acme" });
  assert.equal(found[0].slug, "acme");
  const acme = await oneRuntime.catalog.get("acme");
  assert.equal(acme.auth[0].fields[0].name, "api_key");
  assert.ok(acme.logoUrl.startsWith("http"));
  const categories = await oneRuntime.catalog.categories();
  assert.ok(categories.some((item) => item.name === "CRM" && item.count > 0));
});

test("an unknown integration is not found", async () => {
  await assert.rejects(client().catalog.get("no-such-thing"), NotFound);
});

test("baseUrl may end with a slash", async () => {
  assert.ok((await client({ baseUrl: `${URL_OF_US}/` }).catalog.categories()).length);
});
