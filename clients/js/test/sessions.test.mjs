import assert from "node:assert/strict";
import { test } from "node:test";

import { InvalidInput, NotFound, PermissionDenied } from "@one-runtime/client";

import { BROUGHT_BACK, client, READ_KEY } from "./installation.mjs";

const asked = { integrationSlug: "acme", endUserId: "user_session" };

test("a session is created, read and cancelled", async () => {
  const { sessions } = client();
  const created = await sessions.create({ ...asked, endUserName: "Ada", metadata: { my_team: { teamId: 7 } } });
  assert.match(created.sessionToken, /^orcs_/);
  assert.ok(created.connectUrl.includes(created.sessionToken));
  const read = await sessions.get(created.id);
  assert.equal(read.status, "pending");
  assert.deepEqual(read.metadata, { my_team: { teamId: 7 } });
  assert.equal((await sessions.cancel(created.id)).status, "cancelled");
});

test("a redeemed session has its connection", async () => {
  const { sessionId, code } = BROUGHT_BACK[0];
  const redeemed = await client().sessions.redeem(sessionId, { code, endUserId: "user_123" });
  assert.equal(redeemed.status, "connected");
  assert.equal(redeemed.connection.endUserId, "user_123");
  const call = client().sessions.cancel(sessionId);
  await assert.rejects(call, { name: "Conflict", code: "conflict", status: 409 });
});

test("another end user cannot redeem", async () => {
  const { sessionId, code } = BROUGHT_BACK[1];
  const call = client().sessions.redeem(sessionId, { code, endUserId: "mallory" });
  await assert.rejects(call, { code: "end_user_mismatch", status: 409 });
});

test("a session for an unknown integration is not found", async () => {
  await assert.rejects(client().sessions.create({ ...asked, integrationSlug: "no-such-thing" }), NotFound);
});

test("an unknown session is not found", async () => {
  await assert.rejects(client().sessions.get("nobody-created-it"), NotFound);
});

test("an unknown field is refused", async () => {
  await assert.rejects(client().sessions.create({ ...asked, endUserMail: "a@b.example" }), (error) => {
    assert.ok(error instanceof InvalidInput);
    assert.deepEqual(error.errors, [{ field: "end_user_mail", message: "is not a field of this request. Did you mean end_user_email?" }]);
    return true;
  });
});

test("a key without the scope is refused", async () => {
  const call = client({ apiKey: READ_KEY }).sessions.create(asked);
  await assert.rejects(call, (error) => error instanceof PermissionDenied && error.code === "insufficient_scope");
});
