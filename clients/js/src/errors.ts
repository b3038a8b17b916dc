/** The tree of errors. `code` is stable: decide by it, or by the class. */

/** A refused field, by its name in the API, and a sentence. */
export interface FieldError {
  field: string;
  message: string;
}

interface Details {
  readonly code: string;
  readonly status?: number | null;
  readonly requestId?: string | null;
  readonly errors?: FieldError[] | undefined;
  readonly providerReason?: string | null | undefined;
  readonly retryAfter?: number | null;
  readonly cause?: unknown;
}

export class OneRuntimeError extends Error {
  /** Stable. The client's own codes are `connection_failed`, `timeout` and `unexpected_answer`. */
  readonly code: string;
  /** Null if there was no answer. */
  readonly status: number | null;
  readonly detail: string;
  readonly requestId: string | null;
  readonly errors: FieldError[];
  /** The provider's own words, for `credentials_refused`. */
  readonly providerReason: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;

  /** @internal The types of the package omit the constructor: only the client creates errors. */
  constructor(detail: string, details: Details = { code: "" }) {
    super(detail, "cause" in details ? { cause: details.cause } : undefined);
    this.name = new.target.name;
    this.code = details.code;
    this.status = details.status ?? null;
    this.detail = detail;
    this.requestId = details.requestId ?? null;
    this.errors = details.errors ?? [];
    this.providerReason = details.providerReason ?? null;
    this.retryAfter = details.retryAfter ?? null;
  }
}

/** The end user has to connect (again): create a session. */
export class ConnectRequired extends OneRuntimeError {}

/** The resource does not exist, or belongs to another organization. */
export class NotFound extends OneRuntimeError {}

/** One Runtime refused a value of the request. `errors` names the fields. */
export class InvalidInput extends OneRuntimeError {}

/** The API key is missing, mistyped, revoked, or belongs to another installation. */
export class Unauthenticated extends OneRuntimeError {}

/** There were too many requests, and the retries did not help. `retryAfter`: seconds to wait. */
export class RateLimited extends OneRuntimeError {}

/** One Runtime cannot answer at the moment, and the retries did not help. */
export class Unavailable extends OneRuntimeError {}

/** One Runtime was not reached or did not answer in time. It may have carried out the request. */
export class ConnectionFailed extends OneRuntimeError {}

/** The code for an answer of another server, whose status has no meaning for this client. */
export const UNEXPECTED = "unexpected_answer";

/** The class of each code. The Python client has the same table, and a test compares them. */
export const CLASS_OF_CODE: ReadonlyMap<string, typeof OneRuntimeError> = new Map([
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
const CLASS_OF_STATUS: ReadonlyMap<number, typeof OneRuntimeError> = new Map([
  [401, Unauthenticated],
  [404, NotFound],
  [422, InvalidInput],
  [429, RateLimited],
  [503, Unavailable],
]);

/** Returns the error of a response. Reads the body of an error of One Runtime, and cancels any other body. */
export async function errorOf(response: Response, isOurs: boolean): Promise<OneRuntimeError> {
  if (!isOurs) await response.body?.cancel();
  const problem: Problem = isOurs ? problemOf(await response.text()) : {};
  const code = problem.code ?? (isOurs ? response.headers.get("one-runtime-error") : null);
  if (code === null) return unexpected(response, `Another server than One Runtime answered ${response.status}`);
  const Kind = CLASS_OF_CODE.get(code) ?? CLASS_OF_STATUS.get(response.status) ?? OneRuntimeError;
  return new Kind(problem.detail ?? `One Runtime answered ${response.status} (${code}).`, {
    code,
    status: response.status,
    requestId: problem.request_id ?? response.headers.get("request-id"),
    errors: problem.errors,
    providerReason: problem.provider_reason,
    retryAfter: secondsOf(response.headers.get("retry-after")),
  });
}

/** Returns the error for an answer without the documented form. It quotes nothing: the answer may hold credentials. */
export function unexpected(response: Response, detail: string): OneRuntimeError {
  return new OneRuntimeError(`${detail}. Check that baseUrl is the address of One Runtime.`, {
    code: UNEXPECTED,
    status: response.status,
    requestId: response.headers.get("request-id"),
  });
}

/** Returns whether a response has the media type of our errors. The page of a load balancer does not have it. */
export function isProblem(response: Response): boolean {
  return (response.headers.get("content-type") ?? "").startsWith("application/problem+json");
}

/** A problem (RFC 9457) of One Runtime. */
interface Problem {
  readonly code?: string;
  readonly detail?: string;
  readonly request_id?: string;
  readonly errors?: FieldError[];
  readonly provider_reason?: string;
}

/** Parses a problem; returns an empty object for any other text. */
function problemOf(text: string): Problem {
  try {
    const problem = JSON.parse(text) as Problem | null;
    return typeof problem?.code === "string" ? problem : {};
  } catch {
    return {};
  }
}

function secondsOf(value: string | null) {
  return value !== null && /^\d+$/.test(value) ? Number(value) : null;
}
