/** The client's tests that every runtime passes. `run` uses only what every runtime has. */

import { ConnectRequired, forward, NotFound, OneRuntime, OneRuntimeError, webhooks } from "@one-runtime/client";

/** Calls One Runtime, and returns what happened. `runtime` names the end user. `webhook`: arguments of `verify`. */
export async function run({ baseUrl, apiKey, acmeKey, runtime, webhook }) {
  const client = new OneRuntime({ baseUrl, apiKey });
  const endUserId = `${runtime}-é`;
  const credentials = { api_key: acmeKey };
  const connection = await client.connections.create({ integrationSlug: "acme", endUserId, authType: "api_key", credentials });
  const [listed] = await client.integrations.list({ endUserId, slug: "acme" });
  const session = await client.sessions.create({ endUserId, integrationSlug: "acme", mode: "link" });
  const account = await client.proxy.get("acme", "/v1/me", { endUserId });
  const contact = { name: `Ada of ${runtime}`, email: "ada@a.example" };
  const body = (async function* () {
    yield JSON.stringify(contact);
  })();
  const headers = { "content-type": "application/json" };
  const created = await client.proxy.post("acme", "/v1/contacts", { endUserId, body, headers });
  const relayed = forward(await client.proxy.get("acme", "/v1/contacts", { connectionId: connection.id }));
  const contacts = (await relayed.json()).contacts.map(({ name }) => name);
  const missing = await client.proxy.get("acme", "/v1/me", { endUserId: "nobody" }).catch((error) => error);
  const unknown = await client.connections.get("unknown").catch((error) => error);
  const waiting = new AbortController();
  const aborted = client.organization.get({ signal: waiting.signal }).catch((error) => error);
  waiting.abort(new Error("enough"));
  const { secret, headers: signed, body: text } = webhook;
  const event = await webhooks.verify(secret, new Headers(signed), text);
  const changed = await webhooks.verify(secret, signed, new TextEncoder().encode(`${text} `)).catch((error) => error);
  return {
    status: listed.status,
    token: session.sessionToken.startsWith("orcs_"),
    account: (await account.json()).account.name,
    created: created.status,
    relayed: [relayed.status, contacts.includes(contact.name)],
    missing: [missing instanceof ConnectRequired, missing.name, missing.code],
    unknown: [unknown instanceof NotFound, unknown instanceof ConnectRequired, unknown.status],
    aborted: waiting.signal.aborted && !((await aborted) instanceof OneRuntimeError),
    webhook: [event.type, event.endUserId, changed.name],
    pages: (await client.connections.list({ endUserId, limit: 1 }).toArray()).length,
  };
}
