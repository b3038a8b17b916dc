import { client } from "./hey/client.gen";
import * as api from "./hey/sdk.gen";
import type { paths } from "./types";

declare const process: { env: Record<string, string>; exitCode: number };
type Imported = paths["/v1/connections"]["post"]["responses"]["200"]["content"]["application/json"];

async function main(): Promise<void> {
  client.setConfig({ baseUrl: process.env.BASE_URL, auth: process.env.API_KEY });
  const session = await api.createHostedConnectionSession({ body: { end_user_id: "u", integration_slug: "acme" } });
  const body = { integration_slug: "acme", end_user_id: "u", auth_type: "api_key" as const };
  const first = await api.createConnection({ body: { ...body, credentials: { api_key: process.env.FIRST_KEY } } });
  const again = await api.createConnection({ body: { ...body, credentials: { api_key: process.env.FIRST_KEY } } });
  const connection: Imported = again.data!;
  await api.createConnection({ body: { ...body, credentials: { api_key: process.env.SECOND_KEY }, multiple: true } });
  const pages: string[][] = [];
  let cursor: string | null | undefined;
  do {
    const page = await api.listConnections({ query: { limit: 1, cursor } });
    pages.push(page.data!.connections.map((item) => item.id));
    cursor = page.data!.next_cursor;
  } while (cursor);
  const refused = await api.createHostedConnectionSession({ body: { end_user_id: "" } });
  const listed = await api.listIntegrations({ query: { end_user_id: "u", slug: ["acme"] } });
  console.log(JSON.stringify({
    session: session.data!.session_token.slice(0, 5),
    imported: [first.response!.status, again.response!.status, first.data!.id === connection.id],
    pages,
    error: [refused.error!.code, refused.error!.detail],
    status: listed.data!.integrations.map((item) => [item.slug, item.status]),
  }));
}

void main();
