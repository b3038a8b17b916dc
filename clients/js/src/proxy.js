/**
 * The provider's API, called with an end user's credential. The answer is the provider's, whatever its status; only
 * errors of One Runtime itself are thrown, which the header `One-Runtime-Error` tells from those of the provider. What
 * the provider has answered carries `One-Runtime-Attempts`; what has neither is of something that stands between.
 */

import { providerPath, query, segment } from "./addresses.js";

export class ProviderProxy {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  get(slug, path, options) {
    return this.request("GET", slug, path, options);
  }

  head(slug, path, options) {
    return this.request("HEAD", slug, path, options);
  }

  post(slug, path, options) {
    return this.request("POST", slug, path, options);
  }

  put(slug, path, options) {
    return this.request("PUT", slug, path, options);
  }

  patch(slug, path, options) {
    return this.request("PATCH", slug, path, options);
  }

  delete(slug, path, options) {
    return this.request("DELETE", slug, path, options);
  }

  /** @throws {OneRuntimeError} of One Runtime's own. @throws {TypeError} for a request that cannot be sent. */
  async request(method, slug, path, options = {}) {
    const verb = method.toUpperCase();
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    if (options.json !== undefined && options.body != null) throw new TypeError("give json or body, not both");
    if (body != null && ["GET", "HEAD"].includes(verb)) throw new TypeError(`fetch sends no body with ${verb}`);
    return this.#transport.send(addressOf(slug, path, options.query), {
      method: verb,
      headers: headersOf(options),
      body,
      streamed: isStream(body),
      signal: options.signal,
      timeout: options.timeout,
      isAnswer: (response) => response.headers.has("one-runtime-attempts"),
      isOurs: (response) => response.headers.has("one-runtime-error"),
      read: (response) => response,
    });
  }
}

function addressOf(slug, path, asked) {
  const address = `/v1/proxy/${segment("slug", slug)}${providerPath(path)}`;
  const more = query(asked);
  return address.includes("?") ? address + more.replace("?", "&") : address + more;
}

function headersOf({ headers, json, endUserId, connectionId, retry, baseUrl }) {
  const sent = new Headers(headers);
  if (json !== undefined && !sent.has("content-type")) sent.set("content-type", "application/json");
  if (endUserId != null) sent.set("one-runtime-end-user", bytesOf(endUserId));
  if (connectionId != null) sent.set("one-runtime-connection", bytesOf(connectionId));
  if (baseUrl != null) sent.set("one-runtime-base-url", bytesOf(baseUrl));
  if (retry) sent.set("one-runtime-retry", "idempotent");
  return sent;
}

/** A header's value is bytes, and fetch takes each character for one: UTF-8 has to be spelt out. */
function bytesOf(text) {
  return Buffer.from(String(text), "utf8").toString("latin1");
}

/** Whether a body can be read once only, unlike text, bytes or a form. */
function isStream(body) {
  return body !== null && typeof body === "object" && Symbol.asyncIterator in body;
}
