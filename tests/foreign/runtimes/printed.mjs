/** Prints a session, as a program prints a session by mistake. */

import { OneRuntime } from "@one-runtime/client";

const { baseUrl, apiKey } = JSON.parse((globalThis.Deno?.args ?? process.argv.slice(2))[0]);
const client = new OneRuntime({ baseUrl, apiKey });
console.log(client, await client.sessions.create({ endUserId: "printed", mode: "link" }));
