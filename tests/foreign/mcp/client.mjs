/**
 * An agent with the official JavaScript client. `MCP_MODE`: `legacy`, `auto` or a version of the protocol.
 *
 * It prints one JSON object on each line (`agent_programs.py`).
 */

import { once } from "node:events";
import { createInterface } from "node:readline";

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const { MCP_URL, MCP_TOKEN, MCP_MODE } = process.env;
const input = createInterface({ input: process.stdin });
const print = (value) => console.log(JSON.stringify(value));

async function open(url, how) {
  print({ [how]: url });
  await once(input, "line");
}

const mode = ["auto", "legacy"].includes(MCP_MODE) ? MCP_MODE : { pin: MCP_MODE };
const capabilities = mode === "legacy" ? {} : { elicitation: { url: {} } };
const client = new Client({ name: "test", version: "1" }, { capabilities, versionNegotiation: { mode } });
if (mode !== "legacy") {
  client.setRequestHandler("elicitation/create", async ({ params }) => {
    await open(params.url, "elicitation");
    return { action: "accept" };
  });
}
const requestInit = { headers: { authorization: `Bearer ${MCP_TOKEN}` } };
await client.connect(new StreamableHTTPClientTransport(new URL(MCP_URL), { requestInit }));
print({ tools: (await client.listTools()).tools.map(({ name }) => name) });
const me = { name: "call_read", arguments: { integration: "acme", path: "/v1/me" } };
let answer = await client.callTool(me);
if (answer.isError) {
  await open(answer.structuredContent.connect_url, "text");
  answer = await client.callTool(me);
}
print({ answer: answer.structuredContent });
await client.close();
input.close();
