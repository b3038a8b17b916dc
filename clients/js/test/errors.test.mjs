import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import * as client from "@one-runtime/client";

const { ConnectRequired, NotFound, OneRuntime, OneRuntimeError, RateLimited } = client;
/** The package as CommonJS: a second copy of every class. */
const copy = createRequire(import.meta.url)("@one-runtime/client");
const CLASSES = Object.entries(client).filter(([, Kind]) => Kind.prototype instanceof Error);

const refused = new ConnectRequired("Connect first.", { code: "connect_required", status: 409, requestId: "r-1" });

test("errors of a second copy of the package are instances of the same classes, and of no other class", () => {
  assert.notEqual(copy.OneRuntimeError, OneRuntimeError);
  assert.ok(CLASSES.length >= 8);
  for (const [name, Kind] of CLASSES) {
    const error = new copy[name]("It failed.");
    const expected = CLASSES.filter(([other]) => other === name || other === "OneRuntimeError");
    assert.deepEqual(CLASSES.filter(([, Class]) => error instanceof Class), expected);
    assert.equal(error.name, name);
    assert.ok(error.stack.startsWith(name) && new Kind("").stack.startsWith(name));
  }
});

test("values that are not errors of the package are no instances", () => {
  for (const value of [undefined, null, 1, "ConnectRequired", {}, new Error("Connect first."), refused.toJSON()]) {
    assert.ok(!(value instanceof OneRuntimeError) && !(value instanceof ConnectRequired));
  }
});

test("a subclass of one's own is instance of itself only where the class was constructed", () => {
  class NoAccess extends ConnectRequired {}
  assert.ok(new NoAccess("") instanceof NoAccess && new NoAccess("") instanceof ConnectRequired);
  assert.ok(!(refused instanceof NoAccess));
});

test("an error keeps its class and its values through JSON, and structuredClone keeps the message", () => {
  const restored = OneRuntimeError.from(JSON.parse(JSON.stringify(refused)));
  assert.ok(restored instanceof ConnectRequired && !(restored instanceof NotFound));
  assert.deepEqual(restored.toJSON(), refused.toJSON());
  assert.equal(structuredClone(refused).message, "Connect first.");
  assert.deepEqual(OneRuntimeError.from(structuredClone(refused.toJSON())).toJSON(), refused.toJSON());
});

test("the code decides the class of a restored error, then the status", () => {
  const json = { ...refused.toJSON(), code: "of_a_later_version", status: 429 };
  assert.ok(OneRuntimeError.from(json) instanceof RateLimited);
  assert.equal(OneRuntimeError.from({ ...json, status: 418 }).name, "OneRuntimeError");
  assert.equal(OneRuntimeError.from({ ...json, code: "timeout", status: null }).name, "ConnectionFailed");
});

test("the client refuses to start in a page, unless the program allows it", (context) => {
  const options = { baseUrl: "https://connect.example.com", apiKey: "oru_test" };
  globalThis.window = { document: {} };
  context.after(() => delete globalThis.window);
  assert.throws(() => new OneRuntime(options), (error) => /browser/.test(error.message) && !/oru_test/.test(error.message));
  assert.ok(new OneRuntime({ ...options, dangerouslyAllowBrowser: true }));
});

test("a bundle for browsers refuses to start outside of pages too", async () => {
  const browser = await import("../dist/esm/browser.js");
  const options = { baseUrl: "https://connect.example.com", apiKey: "oru_test" };
  assert.deepEqual(Object.keys(browser), Object.keys(client));
  assert.throws(() => new browser.OneRuntime(options), /browser/);
  assert.ok(new browser.OneRuntime({ ...options, dangerouslyAllowBrowser: true }) instanceof OneRuntime);
});
