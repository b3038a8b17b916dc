/** A server that gives the answers of a test in turn and records the requests. */

import { once } from "node:events";
import { createServer } from "node:http";

/** `answers`: functions of the request and the response; the last function answers all further requests. */
export async function serving(context, ...answers) {
  const arrived = [];
  const server = createServer(async (request, response) => {
    const pieces = await request.toArray();
    arrived.push({
      method: request.method,
      url: request.url,
      headers: request.headers,
      body: Buffer.concat(pieces).toString(),
    });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, arrived };
}

/** Answers JSON. */
export function json(value, status = 200, headers = {}) {
  return (_, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
  };
}

/** Answers an error of One Runtime. */
export function problem(code, status, headers = {}, more = {}) {
  const type = { "content-type": "application/problem+json" };
  return json({ code, status, detail: `It is ${code}.`, request_id: "r-1", ...more }, status, { ...type, ...headers });
}

/** Answers a page of another server, such as a load balancer. */
export function page(status, headers = {}) {
  return (_, response) => response.writeHead(status, { "content-type": "text/html", ...headers }).end("<html>");
}

/** Answers as a provider: with the header that One Runtime adds. */
export function relayed(status, text = "") {
  return (_, response) => response.writeHead(status, RELAYED).end(text);
}

export const RELAYED = { "one-runtime-attempts": "1" };
