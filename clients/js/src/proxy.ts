/**
 * The provider's API, called with an end user's credential. A call resolves with the provider's response, whatever its
 * status. `One-Runtime-Error` marks errors of One Runtime, which are thrown; `One-Runtime-Attempts` marks responses of
 * the provider. A response without either header comes from another server in between.
 */

import type { Readable } from "node:stream";

import { providerPath, type QueryValue, query, segment } from "./addresses.js";
import { millisecondsOf } from "./deadline.js";
import type { Transport } from "./transport.js";

export type ProxyBody = NonNullable<RequestInit["body"]> | Readable | AsyncIterable<Uint8Array>;

/** The connection of a call: the newest active one of `endUserId`, or `connectionId`. With both, they have to match. */
export type ConnectionSelector =
  | { endUserId: string; connectionId?: string }
  | { connectionId: string; endUserId?: string };

export type ProxyOptions = ConnectionSelector & CallOptions;

export interface CallOptions {
  query?: string | URLSearchParams | Record<string, QueryValue | QueryValue[]>;
  /** Sent as JSON; its keys stay unchanged. */
  json?: unknown;
  body?: ProxyBody;
  headers?: NonNullable<RequestInit["headers"]>;
  signal?: AbortSignal;
  /** Milliseconds that the provider may be silent, at most 600000. The default is the client's own `timeout`. */
  timeout?: number;
  /** One Runtime repeats an idempotent call when the provider is overloaded or unreachable, and never a POST. */
  retry?: boolean;
  /** Another address of the integration. */
  baseUrl?: string;
}

/**
 * The provider's API. A method resolves with the provider's response, whatever its status. It rejects with errors of
 * One Runtime, and with `unexpected_answer` if another server in between answered.
 */
export interface ProviderProxy {
  request(method: string, integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  get(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  head(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  post(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  put(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  patch(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  delete(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
}

/** The options of a call, as the client reads them: One Runtime itself checks the selector. */
type Call = CallOptions & Partial<ConnectionSelector>;

/** Milliseconds that One Runtime waits for a provider at most. */
const MAX_TIMEOUT = 600_000;
/** Milliseconds of each attempt beside that: 10 seconds for the connection, and the time of a token refresh. */
const MARGIN = 30_000;
/** With `retry`, One Runtime makes three attempts, with pauses between them. */
const ATTEMPTS = 3;
const PAUSES = 60_000;
/** Bytes of a body that takes little time to send. */
const SMALL_BODY = 1_000_000;

export class CallsOfProviders implements ProviderProxy {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response> {
    return this.request("GET", integrationSlug, path, options);
  }

  head(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response> {
    return this.request("HEAD", integrationSlug, path, options);
  }

  post(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response> {
    return this.request("POST", integrationSlug, path, options);
  }

  put(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response> {
    return this.request("PUT", integrationSlug, path, options);
  }

  patch(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response> {
    return this.request("PATCH", integrationSlug, path, options);
  }

  delete(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response> {
    return this.request("DELETE", integrationSlug, path, options);
  }

  /** @throws {OneRuntimeError} for errors of One Runtime. @throws {TypeError} for a request that cannot be sent. */
  async request(method: string, integrationSlug: string, path: string, options: Call = {}): Promise<Response> {
    const verb = method.toUpperCase();
    const timeout = Math.min(millisecondsOf(options.timeout ?? this.#transport.timeout), MAX_TIMEOUT);
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    if (options.json !== undefined && options.body != null) throw new TypeError("pass json or body, not both");
    if (body != null && ["GET", "HEAD"].includes(verb)) throw new TypeError(`fetch sends no body with ${verb}`);
    return this.#transport.send(addressOf(integrationSlug, path, options.query), {
      method: verb,
      headers: headersOf(options, timeout),
      body,
      streamed: isStream(body),
      signal: options.signal,
      timeout: isSmall(body) ? clientTimeout(timeout, options.retry) : Infinity,
      isAnswer: (response) => response.headers.has("one-runtime-attempts"),
      isOurs: (response) => response.headers.has("one-runtime-error"),
      read: (response) => response,
    });
  }
}

function addressOf(integrationSlug: string, path: string, parameters: Call["query"]) {
  const address = `/v1/proxy/${segment("integrationSlug", integrationSlug)}${providerPath(path)}`;
  const search = query(parameters);
  return address.includes("?") ? address + search.replace("?", "&") : address + search;
}

function headersOf({ headers, json, endUserId, connectionId, retry, baseUrl }: Call, timeout: number) {
  const sent = new Headers(headers);
  if (json !== undefined && !sent.has("content-type")) sent.set("content-type", "application/json");
  if (endUserId != null) sent.set("one-runtime-end-user", bytesOf(endUserId));
  if (connectionId != null) sent.set("one-runtime-connection", bytesOf(connectionId));
  if (baseUrl != null) sent.set("one-runtime-base-url", bytesOf(baseUrl));
  if (!sent.has("one-runtime-timeout")) sent.set("one-runtime-timeout", String(timeout / 1000));
  if (retry) sent.set("one-runtime-retry", "idempotent");
  return sent;
}

/** Writes UTF-8 as one character for each byte: `fetch` takes each character of a header value for a byte. */
function bytesOf(text: string) {
  return Buffer.from(String(text), "utf8").toString("latin1");
}

/** Returns the milliseconds that the client waits: longer than One Runtime, whose error says what went wrong. */
function clientTimeout(timeout: number, retry?: boolean) {
  return retry ? ATTEMPTS * (timeout + MARGIN) + PAUSES : timeout + MARGIN;
}

/** Returns whether a body takes little time to send. A timer cannot distinguish a slow upload from silence. */
function isSmall(body?: ProxyBody | null) {
  if (body == null) return true;
  const { byteLength, length, size } = body as { byteLength?: number; length?: number; size?: number };
  return (byteLength ?? length ?? size ?? Infinity) <= SMALL_BODY;
}

/** Returns whether a body can be read only once, unlike text, bytes or a form. */
function isStream(body?: ProxyBody | null) {
  return body !== null && typeof body === "object" && Symbol.asyncIterator in body;
}
