// The npm package emulate, unchanged: each vendor that is asked for on a port of its own, with people seeded.
//
// Clients are seeded too, and which redirect addresses the tests have is known later only. So one more port takes
// `POST /<vendor>/register` (RFC 7591): it seeds the vendor anew with one more client. What the vendor had in its store
// by then (codes, refresh tokens, ids of people) is gone.
//
// node emulate.js --people '[{"name", "email"}]' --vendors google,slack

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { createEmulator } from "emulate";

const { values: options } = parseArgs({ options: { people: { type: "string" }, vendors: { type: "string" } } });
const people = JSON.parse(options.people);

// An access token that emulate does not know, or knows no longer, it takes for its first person's. So the first is a
// nobody whom no test logs in: the vendor's own placeholder, where it has one.
const SEEDS = {
  github: {
    users: [{ login: "ghost" }, ...people.map(({ name, email }) => ({ login: name, name, email }))],
    oauth_apps: [],
  },
  google: { users: [{ email: "nobody@example.com" }, ...people], oauth_clients: [] },
  linear: {
    users: [{ email: "nobody@example.com" }, ...people],
    oauth_apps: [],
    strict_scopes: true, // a nobody has no scope, so Linear refuses a revoked token
  },
  microsoft: { users: [{ email: "nobody@example.com" }, ...people], oauth_clients: [] },
  okta: {
    users: [
      { login: "nobody@example.com", email: "nobody@example.com" },
      ...people.map(({ name, email }) => ({ login: email, email, first_name: name, last_name: "Example" })),
    ],
    oauth_clients: [],
  },
  slack: {
    team: { name: "Example", domain: "example" },
    users: people.map(({ name, email }) => ({ name, real_name: name, email })), // its nobody is its own admin
    oauth_apps: [],
  },
};
const REGISTERED = {
  okta: { auth_server_id: "org" },
  linear: { scopes: ["read", "write"], actor: "user" },
  slack: { scopes: ["users:read"], user_scopes: ["users:read"] },
};

const emulators = {};
for (const service of options.vendors.split(",")) {
  emulators[service] = await createEmulator({ service, port: 0, seed: { [service]: SEEDS[service] } });
}

const registration = createServer(async (request, response) => {
  const vendor = request.url.split("/")[1];
  let body = "";
  for await (const part of request.setEncoding("utf8")) body += part;
  const client = {
    client_id: `${vendor}-${randomUUID()}`,
    client_secret: randomUUID(),
    name: "One Runtime",
    redirect_uris: JSON.parse(body).redirect_uris,
    ...REGISTERED[vendor],
  };
  (SEEDS[vendor].oauth_apps ?? SEEDS[vendor].oauth_clients).push(client);
  emulators[vendor].reset();
  response.writeHead(201, { "Content-Type": "application/json" });
  response.end(JSON.stringify(client));
});
registration.listen(0, "127.0.0.1", () => {
  const local = (port) => `http://127.0.0.1:${port}`;
  const urls = Object.fromEntries(Object.entries(emulators).map(([name, one]) => [name, local(new URL(one.url).port)]));
  console.log(JSON.stringify({ registration: local(registration.address().port), urls }));
});
process.stdin.on("end", () => process.exit(0)).resume();
