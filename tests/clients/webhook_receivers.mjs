/**
 * Receivers of webhooks in one process: the programs of docs/snippets, the client as an ES module and in CommonJS, and
 * the libraries `standardwebhooks` and `svix`.
 *
 * The process prints its URL, and exits when its standard input ends.
 */

import { createRequire } from "node:module";

import * as client from "@one-runtime/client";

import { app } from "./webhooks_express.mjs";
import { POST } from "./webhooks_next.mjs";

const require = createRequire(import.meta.url);
const express = require("express");
const commonjs = require("@one-runtime/client");
const lines = [];
console.log = (...values) => lines.push(values.join(" "));

app.post("/next", express.raw({ type: "*/*" }), async (request, response) => {
  const answer = await POST(new Request("http://localhost/", { method: "POST", headers: request.headers, body: request.body }));
  response.status(answer.status).end(await answer.text());
});

/** Sets the secret of the programs, and returns the lines that the programs have printed. */
app.put("/secret", express.json(), (request, response) => {
  process.env.WEBHOOK_SECRET = request.body.secret;
  response.json(lines.splice(0));
});

/** Verifies messages with a library or with the client. */
app.post("/verify/:verifier", express.json({ limit: "1mb" }), async (request, response) => {
  const verify = VERIFIERS[request.params.verifier];
  response.json(await Promise.all(request.body.map((message) => outcomeOf(verify, message))));
});

const VERIFIERS = {
  standardwebhooks: withLibrary(require("standardwebhooks").Webhook),
  svix: withLibrary(require("svix").Webhook),
  esm: (secret, headers, body) => client.webhooks.verify(secret, headers, body),
  commonjs: (secret, headers, body) => {
    const content = body instanceof Uint8Array ? Uint8Array.from(body).buffer : body;
    return commonjs.webhooks.verify(secret, new Headers(headers), content);
  },
};

function withLibrary(Webhook) {
  return (secret, headers, body) => new Webhook(secret).verify(body, headers);
}

async function outcomeOf(verify, { secret, headers, body }) {
  const content = body.base64 === undefined ? body.value : Buffer.from(body.base64, "base64");
  try {
    return { event: await verify(secret, headers, content) };
  } catch (error) {
    return {
      error: error.name,
      text: error.message,
      code: error.code,
      ours: error instanceof client.WebhookVerificationError && error instanceof client.OneRuntimeError,
    };
  }
}

const server = app.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })}\n`);
});
process.stdin.on("end", () => process.exit()).resume();
