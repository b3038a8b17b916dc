/** What a customer's backend writes, as TypeScript reads it: what is right compiles, and what is wrong does not. */

import {
  ConnectRequired,
  OneRuntime,
  OneRuntimeError,
  RateLimited,
  type Connection,
  type Integration,
  type Page,
} from "@one-runtime/client";

const oneRuntime = new OneRuntime({ baseUrl: "https://connect.example.com", apiKey: "oru_test" });

export async function settingsPage(endUserId: string): Promise<string[]> {
  const listed: Integration[] = await oneRuntime.integrations.list({ endUserId, expand: "connections" });
  // @ts-expect-error whose list it is has to be said
  await oneRuntime.integrations.list({});
  // @ts-expect-error there is no such logo
  await oneRuntime.integrations.list({ endUserId, logo: "png" });
  return listed.filter((one) => one.status === "connected").map((one) => one.logoUrl ?? one.name);
}

export async function popup(endUserId: string): Promise<{ sessionToken: string; connectUrl: string }> {
  const session = await oneRuntime.sessions.create({ endUserId, integrationSlug: "hubspot", metadata: { plan: 1 } });
  const found = await oneRuntime.sessions.get(session.id);
  // @ts-expect-error there is not always a connection
  found.connection.id;
  return session;
}

export async function contacts(endUserId: string): Promise<unknown> {
  try {
    const answer = await oneRuntime.proxy.get("hubspot", "/crm/v3/objects/contacts", { endUserId });
    // @ts-expect-error a call is on somebody's behalf
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
  names.push(...[...items, ...next.items].map((one) => one.name));
  // @ts-expect-error there is not always a next page
  next.nextCursor.length;
  // @ts-expect-error a list is no promise: it comes in pages
  (await oneRuntime.connections.list()).length;
  await oneRuntime.connections.create({
    integrationSlug: "hubspot",
    endUserId: "user_123",
    authType: "api_key",
    credentials: { api_key: "pat-123" },
  });
  return oneRuntime.connections.list().toArray();
}
