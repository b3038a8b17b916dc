/**
 * The provider's API, called with an end user's credential. The answer is the provider's, whatever its status; only
 * errors of One Runtime itself are thrown, which the header `One-Runtime-Error` tells from those of the provider. What
 * the provider has answered carries `One-Runtime-Attempts`; what has neither is of something that stands between.
 */

import { providerPath, query, segment } from "./addresses.js";
import { millisecondsOf } from "./deadline.js";

/** Milliseconds that One Runtime waits for a provider at the most. */
const LONGEST = 600_000;
/** Beside that, for a try: 10 seconds for the connection, and what a renewal of the credential takes. */
const SLACK = 30_000;
/** What `retry` asks One Runtime for: tries, and the waits between them. */
const TRIES = 3;
const PAUSES = 60_000;
/** Bytes that are soon sent. */
const SMALL = 1_000_000;

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

  /** @throws {OneRuntimeError} of One Runtime's own. @throws {TypeError} for a request that cannot be sent. */
  async request(method, integrationSlug, path, options = {}) {
    const verb = method.toUpperCase();
    const timeout = Math.min(millisecondsOf(options.timeout ?? this.#transport.timeout), LONGEST);
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    if (options.json !== undefined && options.body != null) throw new TypeError("give json or body, not both");
    if (body != null && ["GET", "HEAD"].includes(verb)) throw new TypeError(`fetch sends no body with ${verb}`);
    return this.#transport.send(addressOf(integrationSlug, path, options.query), {
      method: verb,
      headers: headersOf(options, timeout),
      body,
      streamed: isStream(body),
      signal: options.signal,
      timeout: isSmall(body) ? patience(timeout, options.retry) : Infinity,
      isAnswer: (response) => response.headers.has("one-runtime-attempts"),
      isOurs: (response) => response.headers.has("one-runtime-error"),
      read: (response) => response,
    });
  }
}

function addressOf(integrationSlug, path, asked) {
  const address = `/v1/proxy/${segment("integrationSlug", integrationSlug)}${providerPath(path)}`;
  const more = query(asked);
  return address.includes("?") ? address + more.replace("?", "&") : address + more;
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

/** A header's value is bytes, and fetch takes each character for one: UTF-8 has to be spelt out. */
function bytesOf(text) {
  return Buffer.from(String(text), "utf8").toString("latin1");
}

/** Milliseconds until our own clock stops it, later than One Runtime, which tells better what went wrong. */
function patience(timeout, retry) {
  return retry ? TRIES * (timeout + SLACK) + PAUSES : timeout + SLACK;
}

/** Whether a body is soon sent; of a form or a stream, nobody knows. No clock can tell a slow upload from silence. */
function isSmall(body) {
  return body == null || (body.byteLength ?? body.length ?? body.size ?? Infinity) <= SMALL;
}

/** Whether a body can be read once only, unlike text, bytes or a form. */
function isStream(body) {
  return body !== null && typeof body === "object" && Symbol.asyncIterator in body;
}
