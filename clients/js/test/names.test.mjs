import assert from "node:assert/strict";
import { test } from "node:test";

import { fromWire, toWire } from "../dist/esm/names.js";

test("names are converted at every depth, in both directions", () => {
  const here = { endUserId: "u", items: [{ createdAt: null, isOn: true }], clientSecretLastFour: "0123" };
  const there = { end_user_id: "u", items: [{ created_at: null, is_on: true }], client_secret_last_four: "0123" };
  assert.deepEqual(toWire(here), there);
  assert.deepEqual(fromWire(there), here);
});

test("keys of metadata, params, credentials and definition stay unchanged", () => {
  for (const name of ["metadata", "params", "credentials", "definition"]) {
    const value = { [name]: { api_key: 1, apiKey: { deep_er: 2 } } };
    assert.deepEqual(toWire(value), value);
    assert.deepEqual(fromWire(value), value);
  }
});

test("values stay unchanged", () => {
  assert.deepEqual(fromWire({ status: "needs_reauth" }), { status: "needs_reauth" });
  const moment = new Date(0);
  assert.equal(JSON.stringify(toWire({ expiresAt: moment })), '{"expires_at":"1970-01-01T00:00:00.000Z"}');
});

test("a key of an answer does not change a prototype", () => {
  const answer = fromWire(JSON.parse('{"__proto__": {"is_admin": true}}'));
  assert.equal({}.isAdmin, undefined);
  assert.equal(answer.isAdmin, undefined);
});
