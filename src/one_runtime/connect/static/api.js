// The calls to our own server. The session token stands in memory here and in the Authorization header, nowhere else.

const LOAD_TIMEOUT_MS = 8_000;
const CONNECT_TIMEOUT_MS = 60_000;
const CANCEL_TIMEOUT_MS = 1_500;

/** What the server refused: `code`, `detail`, `errors`, `reason` (the provider's own words) and the HTTP status. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? "");
    this.status = status;
    this.code = body.code ?? "";
    this.detail = body.detail ?? "";
    this.errors = Array.isArray(body.errors) ? body.errors : [];
    this.reason = body.provider_reason ?? null;
  }
}

/** The server could not be reached, or did not answer in time. */
export class Offline extends Error {}

export class Api {
  #base;
  #token;

  constructor(base, token) {
    this.#base = base;
    this.#token = token;
  }

  /** What the popup shows; for one integration where the user picked it from the list. */
  view(slug = null) {
    return this.#post("", slug === null ? {} : { integration_slug: slug }, LOAD_TIMEOUT_MS);
  }

  connect(request) {
    return this.#post("/connect", request, CONNECT_TIMEOUT_MS);
  }

  /** A consent to be: its id, and the ticket for its window. */
  prepare(request) {
    return this.#post("/consent", request, LOAD_TIMEOUT_MS);
  }

  outcome(consentId) {
    return this.#post("/outcome", { consent_id: consentId }, LOAD_TIMEOUT_MS);
  }

  cancel() {
    return this.#post("/cancel", {}, CANCEL_TIMEOUT_MS);
  }

  async #post(path, body, timeout) {
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
        keepalive: true, // a cancel outlives the frame
        signal: AbortSignal.timeout(timeout),
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

// A gateway in front of us may answer with a page of its own: that is an error without a code.
function parse(answer) {
  try {
    return JSON.parse(answer) ?? {};
  } catch {
    return {};
  }
}
