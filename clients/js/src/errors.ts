/** The errors of the client. `code` is stable: let your program decide by `code` or by the class. */

/** A refused field. `field`: the field's name in the API. `message`: a sentence that says what is wrong. */
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
  /** A code of One Runtime, or a code of the client: `connection_failed`, `timeout` or `unexpected_answer`. */
  readonly code: string;
  /** Null if no server answered. */
  readonly status: number | null;
  readonly detail: string;
  readonly requestId: string | null;
  readonly errors: FieldError[];
  /** The provider's own text, for the codes `credentials_refused` and `permission_missing`. */
  readonly providerReason: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;

  /** @internal The package's types omit the constructor, because only the client creates errors. */
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

/** The end user has to connect the account (again). Create a session. */
export class ConnectRequired extends OneRuntimeError {}

/** The resource does not exist, or the resource belongs to another organization. */
export class NotFound extends OneRuntimeError {}

/** One Runtime refused a value of the request. `errors` names the fields. */
export class InvalidInput extends OneRuntimeError {}

/** The API key is missing, mistyped, revoked, or belongs to another installation. */
export class Unauthenticated extends OneRuntimeError {}

/** There were too many requests, and the client's retries failed too. `retryAfter`: seconds to wait. */
export class RateLimited extends OneRuntimeError {}

/** One Runtime cannot answer at the moment, and the client's retries failed too. */
export class Unavailable extends OneRuntimeError {}

/**
 * The client did not reach One Runtime, or One Runtime did not answer in time. In both cases, it is possible that One
 * Runtime carried out the request.
 */
export class ConnectionFailed extends OneRuntimeError {}

/**
 * The code for a response that does not have the documented form, usually a response of another server. The client
 * never repeats a request after such a response.
 */
export const UNEXPECTED = "unexpected_answer";

/** The class of each code. The Python client has the same table, and a test compares the two tables. */
export const CLASS_OF_CODE: ReadonlyMap<string, typeof OneRuntimeError> = new Map([
  ["connect_required", ConnectRequired],
  ["needs_reauth", ConnectRequired],
  ["not_found", NotFound],
  ["credentials_refused", InvalidInput],
  ["host_not_registered", InvalidInput],
  ["integration_disabled", InvalidInput],
  ["invalid_input", InvalidInput],
  ["malformed_request", InvalidInput],
  ["permission_missing", InvalidInput],
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
/** The class of each status, for codes that a later version of One Runtime adds. */
const CLASS_OF_STATUS: ReadonlyMap<number, typeof OneRuntimeError> = new Map([
  [401, Unauthenticated],
  [404, NotFound],
  [422, InvalidInput],
  [429, RateLimited],
  [503, Unavailable],
]);

/** Returns the error for a response. Reads the body if the error comes from One Runtime. Cancels any other body. */
export async function errorOf(response: Response, isOurs: boolean): Promise<OneRuntimeError> {
  if (!isOurs) await response.body?.cancel();
  const problem: Problem = isOurs ? problemOf(await response.text()) : {};
  const code = problem.code ?? (isOurs ? response.headers.get("one-runtime-error") : null);
  if (code === null) return unexpected(response, `Another server answered ${response.status} instead of One Runtime`);
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

/**
 * Returns the error for a response that does not have the documented form. The error does not quote the response,
 * because the response can contain credentials.
 */
export function unexpected(response: Response, detail: string): OneRuntimeError {
  return new OneRuntimeError(`${detail}. Check that baseUrl is the address of One Runtime.`, {
    code: UNEXPECTED,
    status: response.status,
    requestId: response.headers.get("request-id"),
  });
}

/** Returns true for the media type of One Runtime's errors. The error page of a load balancer has another type. */
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

/** Returns the problem in a text. Returns an empty object if the text is not a problem. */
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
