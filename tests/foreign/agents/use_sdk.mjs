/** The version 1 of the official JavaScript SDK. The format of the output is in `agent_programs.py`. */

import { once } from "node:events";
import { createInterface } from "node:readline";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const { MCP_URL, MCP_TOKEN } = process.env;
const input = createInterface({ input: process.stdin });
const print = (value) => console.log(JSON.stringify(value));

const client = new Client({ name: "test", version: "1" });
const requestInit = { headers: { authorization: `Bearer ${MCP_TOKEN}` } };
await client.connect(new StreamableHTTPClientTransport(new URL(MCP_URL), { requestInit }));
print({ tools: (await client.listTools()).tools.map(({ name }) => name) });
const me = { name: "call_read", arguments: { integration: "acme", path: "/v1/me" } };
print({ text: (await client.callTool(me)).structuredContent.connect_url });
await once(input, "line");
print({ answer: (await client.callTool(me)).structuredContent });
await client.close();
input.close();
