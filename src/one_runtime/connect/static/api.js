// Requests to our own server. The session token stays in memory, and this module sends it only in the Authorization
// header.

const LOAD_TIMEOUT_MS = 8_000;
const CONNECT_TIMEOUT_MS = 60_000;
const CANCEL_TIMEOUT_MS = 1_500;

/**
 * An error response. `text` and `fieldTexts` (by the field's path): the name of a text for the user, with its values, or
 * null. `reason`: the provider's error text. `detail` is for developers.
 */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? "");
    this.status = status;
    this.code = body.code ?? "";
    this.detail = body.detail ?? "";
    this.text = body.text ?? null;
    this.fieldTexts = body.field_texts ?? {};
    this.reason = body.provider_reason ?? null;
    this.connections = Array.isArray(body.connections) ? body.connections : [];
  }
}

/** The server could not be reached, or did not answer in time. */
export class Offline extends Error {}

export class Api {
  #base;
  #token;
  #session;

  /** `session`: the id of the session whose origins allow this page. The server refuses the token of another session. */
  constructor(base, token, session) {
    this.#base = base;
    this.#token = token;
    this.#session = session;
  }

  /** Returns the view. `slug`: the integration that the user picked from the list. */
  view(slug = null) {
    return this.#post("", { session_id: this.#session, integration_slug: slug }, LOAD_TIMEOUT_MS);
  }

  /** Returns the slugs of the integrations in the list that match the query. `signal`: aborts the request. */
  search(query, signal) {
    return this.#post("/search", { session_id: this.#session, query }, LOAD_TIMEOUT_MS, { signal });
  }

  connect(request) {
    return this.#post("/connect", request, CONNECT_TIMEOUT_MS);
  }

  /** Prepares an authorization. Returns the authorization's id, and the ticket for its window. */
  prepareAuthorization(request) {
    return this.#post("/authorization", request, LOAD_TIMEOUT_MS);
  }

  outcome(authorizationId) {
    return this.#post("/outcome", { authorization_id: authorizationId }, LOAD_TIMEOUT_MS);
  }

  cancel() {
    return this.#post("/cancel", {}, CANCEL_TIMEOUT_MS, { keepalive: true }); // the request must finish even if the frame is removed
  }

  /** `keepalive`: limits the bodies of all pending requests to 64 kB together. */
  async #post(path, body, timeout, { keepalive = false, signal = null } = {}) {
    let response;
    let answer;
    try {
      response = await fetch(`${this.#base}/connect/session${path}`, {
        method: "POST",
        headers: { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" },
        body: JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
        redirect: "error",
        keepalive,
        signal: signal === null ? AbortSignal.timeout(timeout) : anySignal(signal, AbortSignal.timeout(timeout)),
      });
      answer = await response.text();
    } catch (error) {
      throw new Offline("unreachable", { cause: error });
    }
    const parsed = parse(answer);
    if (!response.ok) throw new Problem(response.status, parsed);
    return parsed;
  }
}

// Browsers without `AbortSignal.any` give a search no limit of time.
function anySignal(signal, timeout) {
  return AbortSignal.any?.([signal, timeout]) ?? signal;
}

// A gateway in front of our server can respond with its own error page, which is not JSON.
function parse(answer) {
  try {
    return JSON.parse(answer) ?? {};
  } catch {
    return {};
  }
}
