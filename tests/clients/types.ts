/** Code of a backend: every line compiles, and every line below `@ts-expect-error` does not. */

import {
  ConnectRequired,
  OneRuntime,
  OneRuntimeError,
  RateLimited,
  WebhookVerificationError,
  forward,
  webhooks,
  type Connection,
  type Integration,
  type Page,
  type WebhookEvent,
} from "@one-runtime/client";

const oneRuntime = new OneRuntime({ baseUrl: "https://connect.example.com", apiKey: "oru_test" });

export async function settingsPage(endUserId: string): Promise<string[]> {
  const listed: Integration[] = await oneRuntime.integrations.list({ endUserId, expand: "connections" });
  // @ts-expect-error endUserId is required
  await oneRuntime.integrations.list({});
  // @ts-expect-error not a value of logo
  await oneRuntime.integrations.list({ endUserId, logo: "png" });
  return listed.filter((item) => item.status === "connected").map((item) => item.logoUrl ?? item.name);
}

export async function popup(endUserId: string): Promise<{ sessionToken: string; connectUrl: string }> {
  const session = await oneRuntime.sessions.create({ endUserId, integrationSlug: "hubspot", metadata: { plan: 1 } });
  const found = await oneRuntime.sessions.get(session.id);
  // @ts-expect-error connection may be null
  found.connection.id;
  return session;
}

export async function contacts(endUserId: string): Promise<unknown> {
  try {
    const answer = await oneRuntime.proxy.get("hubspot", "/crm/v3/objects/contacts", { endUserId });
    // @ts-expect-error endUserId or connectionId is required
    await oneRuntime.proxy.get("hubspot", "/crm/v3/objects/contacts", {});
    return await answer.json();
  } catch (error) {
    if (error instanceof ConnectRequired) return error.detail;
    if (error instanceof RateLimited) return error.retryAfter;
    if (error instanceof OneRuntimeError) return `${error.code} ${error.status} ${error.requestId}`;
    throw error;
  }
}

export async function everything(): Promise<Connection[]> {
  const names: string[] = [];
  for await (const connection of oneRuntime.connections.list({ status: "needs_reauth" })) names.push(connection.name);
  for await (const request of oneRuntime.proxyRequests.list({ endUserId: "user_123" })) names.push(request.path);
  const { items, nextCursor } = await oneRuntime.connections.list({ limit: 10 }).page();
  const next: Page<Connection> = await oneRuntime.connections.list({ limit: 10 }).page(nextCursor);
  names.push(...[...items, ...next.items].map((item) => item.name));
  // @ts-expect-error nextCursor may be null
  next.nextCursor.length;
  // @ts-expect-error a list with pages is not a promise
  (await oneRuntime.connections.list()).length;
  await oneRuntime.connections.create({
    integrationSlug: "hubspot",
    endUserId: "user_123",
    authType: "api_key",
    credentials: { api_key: "pat-123" },
  });
  return oneRuntime.connections.list().toArray();
}

export async function relay(endUserId: string): Promise<Response> {
  const chunks = (async function* () {
    yield new TextEncoder().encode("first");
    yield "second";
  })();
  return forward(await oneRuntime.proxy.post("hubspot", "/files", { endUserId, body: chunks }));
}

export async function options(): Promise<Response> {
  await oneRuntime.sessions.create({ endUserId: "u" }, { idempotencyKey: "k", timeout: 1000, headers: { "x-a": "b" } });
  await oneRuntime.organization.get({ maxRetries: 0, onResponse: ({ headers }) => headers.get("etag") });
  // @ts-expect-error an option that does not exist
  await oneRuntime.organization.get({ retries: 0 });
  const restored: OneRuntimeError = OneRuntimeError.from(new ConnectRequired("Connect.").toJSON());
  return new OneRuntime().request("GET", "/v1/integrations", { headers: { "if-none-match": restored.code } });
}

export async function receive(request: Request): Promise<Response> {
  try {
    const event: WebhookEvent = await webhooks.verify(["whsec_new", "whsec_old"], request.headers, await request.text());
    const connection: Connection | null = event.connection;
    if (event.type === "connection.deleted" || event.type === "a.later_type") return new Response(event.endUserId);
    // @ts-expect-error connection may be null
    connection.id;
    // @ts-expect-error a parsed body
    await webhooks.verify("whsec_new", request.headers, await request.json().then((body: object) => body));
    // @ts-expect-error the variable may be missing
    await webhooks.verify(undefined, { "webhook-id": ["1"], host: undefined }, new Uint8Array(3));
    return new Response(null, { status: 204 });
  } catch (error) {
    if (error instanceof WebhookVerificationError) return new Response(error.detail, { status: 400 });
    throw error;
  }
}
