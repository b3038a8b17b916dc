/**
 * An agent that signs in with the official JavaScript client, calls a tool, and renews its token.
 *
 * It prints one JSON object on each line. After the address of the authorization, it waits for the address of the
 * callback on its standard input. The client accepts only https for the address of its document, so the client gets
 * the address as the identifier of a registered client.
 */

import { once } from "node:events";
import { createInterface } from "node:readline";

import { auth, Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";

const { MCP_URL, CLIENT_ID, REDIRECT_URI } = process.env;
const input = createInterface({ input: process.stdin });
const print = (value) => console.log(JSON.stringify(value));
const stored = {};

const provider = {
  redirectUrl: REDIRECT_URI,
  clientMetadata: { client_name: "Agent of Tests", redirect_uris: [REDIRECT_URI] },
  state: () => "state of the client",
  clientInformation: () => ({ client_id: CLIENT_ID }),
  tokens: () => stored.tokens,
  saveTokens: (tokens) => { stored.tokens = tokens; },
  saveCodeVerifier: (verifier) => { stored.verifier = verifier; },
  codeVerifier: () => stored.verifier,
  saveDiscoveryState: (state) => { stored.discovery = state; },
  discoveryState: () => stored.discovery,
  redirectToAuthorization: (url) => print({ authorize: url.href }),
};

async function call() {
  const client = new Client({ name: "test", version: "1" });
  const transport = new StreamableHTTPClientTransport(new URL(MCP_URL), { authProvider: provider });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    const [callback] = await once(input, "line");
    await transport.finishAuth(new URL(callback).searchParams);
    return call();
  }
  const answer = await client.callTool({ name: "call_read", arguments: { integration: "acme", path: "/v1/me" } });
  await client.close();
  return answer.structuredContent;
}

print({ answer: await call() });
const before = stored.tokens;
await auth(provider, { serverUrl: MCP_URL });
print({ renewed: stored.tokens.access_token !== before.access_token });
print({ answer: await call() });
input.close();
