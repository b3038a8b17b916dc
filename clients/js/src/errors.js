/** What goes wrong, as one tree. `code` is stable: decide by it, or by the class. */

export class OneRuntimeError extends Error {
  constructor(detail, { code, status = null, requestId = null, errors = [], providerReason = null, ...more } = {}) {
    super(detail, "cause" in more ? { cause: more.cause } : undefined);
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.requestId = requestId;
    this.errors = errors;
    this.providerReason = providerReason;
    this.retryAfter = more.retryAfter ?? null;
  }
}

/** The end user has to connect, or to connect again: make a session for them. */
export class ConnectRequired extends OneRuntimeError {}

/** There is no such thing, or it is another organization's. */
export class NotFound extends OneRuntimeError {}

/** A value cannot be used: `errors` says which, and why. */
export class InvalidInput extends OneRuntimeError {}

/** The API key is none of this installation's, or was revoked. */
export class Unauthenticated extends OneRuntimeError {}

/** Too many requests, also after the retries: `retryAfter` has the seconds to wait. */
export class RateLimited extends OneRuntimeError {}

/** One Runtime cannot answer now, also after the retries. */
export class Unavailable extends OneRuntimeError {}

/** One Runtime was not reached, or did not answer in time; nothing is known of what became of the request. */
export class ConnectionFailed extends OneRuntimeError {}

/** The code of what something else than One Runtime answered, which means nothing of what it says by its status. */
export const UNEXPECTED = "unexpected_answer";

/** The class of each code. The Python client has the same table, and a test compares them. */
export const CLASS_OF_CODE = new Map([
  ["connect_required", ConnectRequired],
  ["needs_reauth", ConnectRequired],
  ["not_found", NotFound],
  ["credentials_refused", InvalidInput],
  ["host_not_registered", InvalidInput],
  ["invalid_input", InvalidInput],
  ["malformed_request", InvalidInput],
  ["request_refused", InvalidInput],
  ["target_refused", InvalidInput],
  ["unauthenticated", Unauthenticated],
  ["rate_limited", RateLimited],
  ["too_many_attempts", RateLimited],
  ["too_many_calls", RateLimited],
  ["database_busy", Unavailable],
  ["key_not_in_ring", Unavailable],
  ["unavailable", Unavailable],
]);
/** For codes that a later version of One Runtime adds. */
const CLASS_OF_STATUS = new Map([
  [401, Unauthenticated],
  [404, NotFound],
  [422, InvalidInput],
  [429, RateLimited],
  [503, Unavailable],
]);

/** The error that an answer tells, where it `isOurs`. Reads its body, or lets go of it. */
export async function errorOf(response, isOurs) {
  if (!isOurs) await response.body?.cancel();
  const told = isOurs ? problemOf(await response.text()) : {};
  const code = told.code ?? (isOurs ? response.headers.get("one-runtime-error") : null);
  if (code === null) return unexpected(response, `Something else than One Runtime answered ${response.status}`);
  const Kind = CLASS_OF_CODE.get(code) ?? CLASS_OF_STATUS.get(response.status) ?? OneRuntimeError;
  return new Kind(told.detail ?? `One Runtime answered ${response.status} (${code}).`, {
    code,
    status: response.status,
    requestId: told.request_id ?? response.headers.get("request-id"),
    errors: told.errors,
    providerReason: told.provider_reason,
    retryAfter: secondsOf(response.headers.get("retry-after")),
  });
}

/** The error for an answer that is not what was promised. Not a word of it: it may hold credentials. */
export function unexpected(response, detail) {
  return new OneRuntimeError(`${detail}: is baseUrl right?`, {
    code: UNEXPECTED,
    status: response.status,
    requestId: response.headers.get("request-id"),
  });
}

/** Whether an answer has the type of our errors, which the page of a load balancer has not. */
export function isProblem(response) {
  return (response.headers.get("content-type") ?? "").startsWith("application/problem+json");
}

/** RFC 9457; nothing where it is something else. */
function problemOf(text) {
  try {
    const told = JSON.parse(text);
    return typeof told?.code === "string" ? told : {};
  } catch {
    return {};
  }
}

function secondsOf(value) {
  return value !== null && /^\d+$/.test(value) ? Number(value) : null;
}
