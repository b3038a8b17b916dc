/**
 * Routes of your backend for `@one-runtime/react`: sessions, the list of integrations, and disconnecting. Each route acts
 * for the user who is signed in to your product. No route takes an end user from the browser.
 */

import type { OneRuntime } from "./client.js";
import { OneRuntimeError } from "./errors.js";
import type { NewSession } from "./resources/sessions.js";

/** The user who is signed in to your product. `id` becomes the `endUserId`. */
export interface SignedInUser {
  id: string;
  name?: string | undefined;
  email?: string | undefined;
}

/** Null or undefined without a signed-in user. */
export type UserResult = SignedInUser | null | undefined;

type SessionOptions = Omit<NewSession, "endUserId" | "integrationSlug" | "connectionId">;

export interface HandlerOptions<Request> {
  client: OneRuntime;
  /** Returns the user who is signed in to your product. Read the user from your login session, never from the body. */
  user: (request: Request) => UserResult | Promise<UserResult>;
  /** Options of each session, such as `metadata`. */
  session?: SessionOptions;
  /** Origins of your pages, such as `https://app.example.com`, if the routes have another origin than the pages. */
  allowedOrigins?: readonly string[];
}

/** A request without the API of a framework. */
interface Call {
  readonly method: string;
  readonly path: string;
  readonly header: (name: string) => string | null;
  readonly json: () => Promise<unknown>;
  readonly user: () => UserResult | Promise<UserResult>;
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

type Settings = Pick<HandlerOptions<never>, "client" | "session" | "allowedOrigins">;
type Input = Readonly<Record<string, unknown>>;
type Route = (settings: Settings, user: SignedInUser, input: Input) => Promise<object>;

const ROUTES: Readonly<Record<string, Route>> = {
  "GET integrations": async ({ client }, { id }) => {
    const path = `/v1/integrations?${new URLSearchParams({ end_user_id: id, logo: "url", expand: "connections" })}`;
    return (await client.request("GET", path)).json();
  },
  "POST sessions": async ({ client, session }, { id, name, email }, input) => {
    const created = await client.sessions.create({
      ...(name && { endUserName: name }),
      ...(email && { endUserEmail: email }),
      ...session,
      ...textOf(input, "integration_slug", "integrationSlug"),
      ...textOf(input, "connection_id", "connectionId"),
      endUserId: id,
    });
    return { session_token: created.sessionToken };
  },
  "POST disconnect": async ({ client }, { id }, input) => {
    const { integrationSlug } = textOf(input, "integration_slug", "integrationSlug");
    if (integrationSlug === undefined) throw new Refusal(422, "invalid_input", "integration_slug is required.");
    const { status } = await client.disconnect({ integrationSlug, endUserId: id });
    return { status };
  },
};
/** Statuses of One Runtime that concern the browser's request. Other errors concern your configuration. */
const PASSED_ON = new Set([404, 409, 422, 429]);
const LONGEST_BODY = 10_000;

/**
 * Returns a function from `Request` to `Response`, for Next.js (App Router), Hono, Deno, Bun and Workers. The last
 * segment of the path selects the route: `sessions`, `integrations` or `disconnect`.
 *
 * @throws the errors that concern your configuration, such as a revoked API key. Your framework logs them.
 */
export function fetchHandler(options: HandlerOptions<Request>): (request: Request) => Promise<Response> {
  return async (request) => {
    const { status, body } = await answerTo(options, {
      method: request.method,
      path: new URL(request.url).pathname,
      header: (name) => request.headers.get(name),
      json: () => request.json(),
      user: () => options.user(request),
    });
    return Response.json(body, { status, headers: { "cache-control": "no-store" } });
  };
}

/** The members of a request that Node, Express and Connect share. */
export interface NodeRequest extends AsyncIterable<Uint8Array | string> {
  method?: string | undefined;
  url?: string | undefined;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The parsed body, if a middleware such as `express.json()` has read the body. */
  body?: unknown;
}

export interface NodeResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(text: string): unknown;
}

/** Returns a middleware of Express. With `http.createServer`, pass a function as `next` to receive errors. */
export function expressHandler<Req extends NodeRequest>(
  options: HandlerOptions<Req>,
): (request: Req, response: NodeResponse, next: (error?: unknown) => void) => Promise<void> {
  return async (request, response, next) => {
    try {
      const { status, body } = await answerTo(options, {
        method: request.method ?? "GET",
        path: new URL(request.url ?? "/", "http://localhost").pathname,
        header: (name) => [request.headers[name]].flat()[0] ?? null,
        json: async () => (request.body === undefined ? JSON.parse(await textOfBody(request)) : request.body),
        user: () => options.user(request),
      });
      response.statusCode = status;
      response.setHeader("content-type", "application/json");
      response.setHeader("cache-control", "no-store");
      response.end(JSON.stringify(body));
    } catch (error) {
      next(error);
    }
  };
}

/** A request that a route refuses. */
class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

async function answerTo(settings: Settings, call: Call): Promise<Answer> {
  try {
    const route = ROUTES[`${call.method} ${call.path.replace(/^.*\//, "")}`];
    if (route === undefined) throw new Refusal(404, "not_found", "The routes are sessions, integrations and disconnect.");
    if (call.method === "POST") checkOrigin(call, settings.allowedOrigins ?? []);
    const user = await call.user();
    if (user == null) throw new Refusal(401, "unauthenticated", "Sign in first.");
    if (typeof user.id !== "string" || user.id === "") throw new TypeError("user() must return an id that is not empty");
    return { status: 200, body: await route(settings, user, call.method === "POST" ? await inputOf(call) : {}) };
  } catch (error) {
    const refused = error instanceof Refusal || (error instanceof OneRuntimeError && PASSED_ON.has(error.status ?? 0));
    if (!refused) throw error;
    const { status, code, message } = error as Refusal;
    return { status, body: { code, detail: message } };
  }
}

/** Refuses a request of another site. Otherwise, another site could make a signed-in user's browser send requests. */
function checkOrigin({ header }: Call, allowed: readonly string[]) {
  const origin = header("origin");
  const site = header("sec-fetch-site");
  const isSame = site === null ? origin !== null && hostOf(origin) === header("host") : site === "same-origin";
  if (isSame || (origin !== null && allowed.includes(origin))) return;
  throw new Refusal(403, "cross_origin", "Only pages of this site can send this request.");
}

function hostOf(origin: string) {
  return URL.canParse(origin) ? new URL(origin).host : null;
}

async function inputOf(call: Call): Promise<Input> {
  if (!(call.header("content-type") ?? "").startsWith("application/json")) {
    throw new Refusal(415, "unsupported_media_type", "The body must be application/json.");
  }
  const input = await call.json().catch(() => null);
  if (input !== null && typeof input === "object" && !Array.isArray(input)) return input as Input;
  throw new Refusal(400, "malformed_request", "The body must be a JSON object.");
}

/** Returns a field of the body under the name of the client. Omits the field if it is absent. */
function textOf<Name extends string>(input: Input, field: string, name: Name): { [Key in Name]?: string } {
  const value = input[field];
  if (value === undefined || value === null) return {};
  if (typeof value !== "string") throw new Refusal(422, "invalid_input", `${field} must be a string.`);
  return { [name]: value } as { [Key in Name]?: string };
}

async function textOfBody(request: NodeRequest) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of request) {
    text += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    if (text.length > LONGEST_BODY) throw new Refusal(413, "too_large", "The body is too large.");
  }
  return text;
}
