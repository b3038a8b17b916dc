/**
 * Calls to a provider's API with an end user's credential. A call resolves with the provider's response, even if the
 * response is an error. The header `One-Runtime-Attempts` marks responses of the provider. The header
 * `One-Runtime-Error` marks errors of One Runtime. A response without these headers comes from another server, such as
 * a load balancer.
 */

import { providerPath, type QueryValue, query, segment } from "./addresses.js";
import { millisecondsOf } from "./deadline.js";
import type { Transport } from "./transport.js";

/** Text, bytes, a form or a stream. A `Readable` of Node is an `AsyncIterable`. */
export type ProxyBody = NonNullable<RequestInit["body"]> | AsyncIterable<Uint8Array | string>;

/**
 * The connection of a call: `connectionId`, or the newest active connection of `endUserId`. If both are present, the
 * connection has to belong to the end user.
 */
export type ConnectionSelector =
  | { endUserId: string; connectionId?: string }
  | { connectionId: string; endUserId?: string };

export type ProxyOptions = ConnectionSelector & CallOptions;

export interface CallOptions {
  query?: string | URLSearchParams | Record<string, QueryValue | QueryValue[]>;
  /** The client sends this value as JSON, with unchanged keys. */
  json?: unknown;
  body?: ProxyBody;
  headers?: NonNullable<RequestInit["headers"]>;
  signal?: AbortSignal;
  /** Milliseconds that One Runtime waits for data from the provider, up to 600000. Default: the client's `timeout`. */
  timeout?: number;
  /** One Runtime repeats a GET, HEAD, PUT, DELETE or OPTIONS when the provider is overloaded or unreachable. */
  retry?: boolean;
  /** Another base URL of the integration. */
  baseUrl?: string;
  /** Retries of this call. Default: the client's `maxRetries`. */
  maxRetries?: number;
}

/**
 * The provider's API. A method resolves with the provider's response, even if the response is an error. A method
 * rejects with an error of One Runtime, or with `unexpected_answer` if another server answered.
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

/** The options of a call. The selector is optional here, because One Runtime refuses a call without a selector. */
type Call = CallOptions & Partial<ConnectionSelector>;

/** Maximum number of milliseconds that One Runtime waits for a provider. */
const MAX_TIMEOUT = 600_000;
/** Milliseconds that each attempt can take in addition: 10 seconds for the connection, the rest for a token refresh. */
const MARGIN = 30_000;
/** Number of attempts of One Runtime with `retry`. */
const ATTEMPTS = 3;
/** Total milliseconds of all pauses between the attempts. */
const PAUSES = 60_000;
/** Maximum number of bytes of a body that takes little time to send. */
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
    const streamed = isStream(body);
    if (options.json !== undefined && options.body != null) throw new TypeError("pass json or body, not both");
    if (body != null && ["GET", "HEAD"].includes(verb)) throw new TypeError(`fetch sends no body with ${verb}`);
    return this.#transport.send(addressOf(integrationSlug, path, options.query), {
      method: verb,
      headers: headersOf(options, timeout),
      body: streamed ? streamOf(body) : body,
      streamed,
      signal: options.signal,
      maxRetries: options.maxRetries,
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

/** Returns the text for a header that `fetch` sends as UTF-8. In most runtimes, `fetch` sends a character as a byte. */
function bytesOf(text: string) {
  if (sendsUtf8()) return text;
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

/** Returns true in workerd, which sends headers as UTF-8. The other runtimes refuse a character above U+00FF. */
function sendsUtf8() {
  try {
    new Headers({ name: "\u0100" });
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns the milliseconds that the client waits. The client waits longer than One Runtime. So the client receives One
 * Runtime's error, which says what went wrong.
 */
function clientTimeout(timeout: number, retry?: boolean) {
  return retry ? ATTEMPTS * (timeout + MARGIN) + PAUSES : timeout + MARGIN;
}

/** Returns true if a body takes little time to send. Large bodies get no time limit, because an upload can be slow. */
function isSmall(body?: ProxyBody | null) {
  if (body == null) return true;
  const { byteLength, length, size } = body as { byteLength?: number; length?: number; size?: number };
  return (byteLength ?? length ?? size ?? Infinity) <= SMALL_BODY;
}

type Stream = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string>;

/** Returns true if the client can read the body only once. Returns false for text, bytes and a form. */
function isStream(body?: ProxyBody | null): body is Stream {
  return typeof body === "object" && (body instanceof ReadableStream || Symbol.asyncIterator in (body ?? {}));
}

/** Returns a stream that `fetch` of every runtime accepts. Only Node's `fetch` also accepts an `AsyncIterable`. */
function streamOf(body: Stream): ReadableStream<Uint8Array> {
  if (body instanceof ReadableStream) return body;
  const iterator = body[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(typeof value === "string" ? new TextEncoder().encode(value) : value);
    },
    async cancel(reason) {
      await iterator.return?.(reason);
    },
  });
}
