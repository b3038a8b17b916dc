/**
 * The provider's API, called with an end user's credential. A call resolves with the provider's response, whatever its
 * status. `One-Runtime-Error` marks errors of One Runtime, which are thrown; `One-Runtime-Attempts` marks responses of
 * the provider. A response without either header comes from another server in between.
 */

import { providerPath, query, segment } from "./addresses.js";
import { millisecondsOf } from "./deadline.js";

/** Milliseconds that One Runtime waits for a provider at most. */
const MAX_TIMEOUT = 600_000;
/** Milliseconds of each attempt beside that: 10 seconds for the connection, and the time of a token refresh. */
const MARGIN = 30_000;
/** With `retry`, One Runtime makes three attempts, with pauses between them. */
const ATTEMPTS = 3;
const PAUSES = 60_000;
/** Bytes of a body that takes little time to send. */
const SMALL_BODY = 1_000_000;

export class ProviderProxy {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  get(integrationSlug, path, options) {
    return this.request("GET", integrationSlug, path, options);
  }

  head(integrationSlug, path, options) {
    return this.request("HEAD", integrationSlug, path, options);
  }

  post(integrationSlug, path, options) {
    return this.request("POST", integrationSlug, path, options);
  }

  put(integrationSlug, path, options) {
    return this.request("PUT", integrationSlug, path, options);
  }

  patch(integrationSlug, path, options) {
    return this.request("PATCH", integrationSlug, path, options);
  }

  delete(integrationSlug, path, options) {
    return this.request("DELETE", integrationSlug, path, options);
  }

  /** @throws {OneRuntimeError} for errors of One Runtime. @throws {TypeError} for a request that cannot be sent. */
  async request(method, integrationSlug, path, options = {}) {
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

function addressOf(integrationSlug, path, parameters) {
  const address = `/v1/proxy/${segment("integrationSlug", integrationSlug)}${providerPath(path)}`;
  const search = query(parameters);
  return address.includes("?") ? address + search.replace("?", "&") : address + search;
}

function headersOf({ headers, json, endUserId, connectionId, retry, baseUrl }, timeout) {
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
function bytesOf(text) {
  return Buffer.from(String(text), "utf8").toString("latin1");
}

/** Returns the milliseconds that the client waits: longer than One Runtime, whose error says what went wrong. */
function clientTimeout(timeout, retry) {
  return retry ? ATTEMPTS * (timeout + MARGIN) + PAUSES : timeout + MARGIN;
}

/** Returns whether a body takes little time to send. A timer cannot distinguish a slow upload from silence. */
function isSmall(body) {
  return body == null || (body.byteLength ?? body.length ?? body.size ?? Infinity) <= SMALL_BODY;
}

/** Returns whether a body can be read only once, unlike text, bytes or a form. */
function isStream(body) {
  return body !== null && typeof body === "object" && Symbol.asyncIterator in body;
}
