// The npm package oidc-provider, with PKCE required and every refresh token rotated; login and consent pages are ours.
//
// node oidc_provider.js --people '[{"name", "email", "password"}]' --access-token-seconds 5

import { createServer } from "node:http";
import { parseArgs } from "node:util";

import Provider from "oidc-provider";

const { values: options } = parseArgs({
  options: { people: { type: "string" }, "access-token-seconds": { type: "string" } },
});
const people = JSON.parse(options.people);
const accessTokenSeconds = Number(options["access-token-seconds"]);
const DAY = 86_400;

const configuration = {
  clientAuthMethods: ["client_secret_basic", "client_secret_post"],
  claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"] },
  clockTolerance: 0, // else a token lives 15 seconds longer than it says
  conformIdTokenClaims: false,
  cookies: { keys: ["of-a-server-that-lives-for-a-test"] },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: (ctx, id) => {
    const person = people.find((one) => one.name === id);
    const claims = () => ({ sub: id, name: person.name, email: person.email, email_verified: true });
    return person && { accountId: id, claims };
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: accessTokenSeconds,
    AuthorizationCode: 60,
    Grant: 14 * DAY,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 14 * DAY,
    Session: 14 * DAY,
  },
};

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  const answer = provider.callback();
  server.on("request", (request, response) => {
    response.on("close", () => console.error(`"${request.method} ${request.url}" ${response.statusCode}`));
    if (request.url.startsWith("/interaction/")) interact(provider, request, response);
    else answer(request, response);
  });
  console.log(JSON.stringify({ url: issuer }));
});
process.stdin.on("end", () => process.exit(0)).resume();

async function interact(provider, request, response) {
  try {
    const interaction = await provider.interactionDetails(request, response);
    const { name } = interaction.prompt;
    if (request.method !== "POST") return show(response, name === "login" ? LOGIN : CONSENT);
    const form = await read(request);
    if (form.get("decision") === "deny") {
      const denied = { error: "access_denied", error_description: "The person said no." };
      return await provider.interactionFinished(request, response, denied);
    }
    if (name === "consent") return await provider.interactionFinished(request, response, await grant(provider, interaction));
    const person = people.find((one) => one.name === form.get("username") && one.password === form.get("password"));
    if (!person) return show(response, LOGIN);
    await provider.interactionFinished(request, response, { login: { accountId: person.name } });
  } catch (error) {
    console.error(error);
    response.writeHead(error.statusCode ?? 500).end(String(error));
  }
}

async function grant(provider, { prompt, grantId, params, session }) {
  const given = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  given.addOIDCScope((prompt.details.missingOIDCScope ?? params.scope.split(" ")).join(" "));
  if (prompt.details.missingOIDCClaims) given.addOIDCClaims(prompt.details.missingOIDCClaims);
  return { consent: { grantId: await given.save() } };
}

async function read(request) {
  let body = "";
  for await (const part of request.setEncoding("utf8")) body += part;
  return new URLSearchParams(body);
}

function show(response, form) {
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store" });
  response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Provider</title>
    <link rel="icon" href="data:,"><main><form method="post">${form}</form></main></html>`);
}

const LOGIN = `<h1>Log in</h1>
  <label>Username <input name="username"></label> <label>Password <input name="password" type="password"></label>
  <button name="decision" value="allow">Log in</button>`;
const CONSENT = `<h1>May this application use your account?</h1>
  <button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button>`;
