/**
 * A product: pages, and the routes of `@one-runtime/client` in Express and with `fetch`. The cookie `user` is the login.
 *
 * `node site.mjs URL KEY`: the URL of One Runtime, and an API key. The site prints its own URL, and exits when its
 * standard input ends.
 */

import { createRequire } from "node:module";
import { Readable } from "node:stream";

import { expressHandler, fetchHandler, OneRuntime } from "@one-runtime/client";

const express = createRequire(import.meta.url)("express");
const [baseUrl, apiKey] = process.argv.slice(2);
const client = new OneRuntime({ baseUrl, apiKey });
const app = express();
const server = app.listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://localhost:${server.address().port}`;
const session = { allowedOrigins: [url] };

const userOf = (cookie) => {
  const id = new URLSearchParams((cookie ?? "").replaceAll("; ", "&")).get("user");
  return id ? { id, name: "Ada" } : null;
};
app.use("/api/one-runtime", expressHandler({ client, session, user: (request) => userOf(request.headers.cookie) }));
app.use("/parsed/api", express.json(), expressHandler({ client, session, user: (request) => userOf(request.headers.cookie) }));

const handle = fetchHandler({ client, session, user: (request) => userOf(request.headers.get("cookie")) });
app.use("/fetch/api", async (request, response, next) => {
  const { method, headers } = request;
  const body = method === "POST" ? { body: Readable.toWeb(request), duplex: "half" } : {};
  try {
    const answer = await handle(new Request(url + request.originalUrl, { method, headers, ...body }));
    response.status(answer.status).set(Object.fromEntries(answer.headers)).end(await answer.text());
  } catch (error) {
    next(error);
  }
});
app.use("/modules", express.static(`${import.meta.dirname}/node_modules`));
app.use(express.static(`${import.meta.dirname}/dist`));
console.log(JSON.stringify({ url }));
process.stdin.resume().on("end", () => process.exit());
