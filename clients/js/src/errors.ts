/** The errors of the client. `code` is stable: let your program decide by `code` or by the class. */

/** A refused field. `field`: the field's name in the API. `message`: a sentence that says what is wrong. */
export interface FieldError {
  field: string;
  message: string;
}

/** One of several connections that a request can mean. */
export interface ConnectionChoice {
  id: string;
  name: string;
  /** `active` or `needs_reauth`. */
  status: string;
  createdAt: string;
}

/** The values of an error, except `detail`. */
export interface ErrorDetails {
  readonly code?: string | undefined;
  readonly status?: number | null | undefined;
  readonly requestId?: string | null | undefined;
  readonly errors?: FieldError[] | undefined;
  readonly connections?: ConnectionChoice[] | undefined;
  readonly providerReason?: string | null | undefined;
  readonly retryAfter?: number | null | undefined;
  readonly cause?: unknown;
}

/** An error as JSON: the result of `toJSON`. */
export interface ErrorJson {
  name: string;
  code: string;
  status: number | null;
  detail: string;
  requestId: string | null;
  errors: FieldError[];
  connections: ConnectionChoice[];
  providerReason: string | null;
  retryAfter: number | null;
}

/** Marks the errors of every copy of this package. The value of the property is the list of the error's classes. */
const CLASSES = Symbol.for("one-runtime.error");

/**
 * An error of One Runtime or of the client. `instanceof` also recognizes the errors of another copy of this package. A
 * program can contain several copies, such as an ES module and a CommonJS module.
 */
export class OneRuntimeError extends Error {
  /**
   * A code of One Runtime, or a code of the client: `connection_failed`, `timeout`, `unexpected_answer` or
   * `webhook_not_verified`.
   */
  readonly code: string;
  /** Null if no server answered. */
  readonly status: number | null;
  readonly detail: string;
  readonly requestId: string | null;
  readonly errors: FieldError[];
  /** The connections to choose from, for the code `several_connections`. */
  readonly connections: ConnectionChoice[];
  /** The provider's own text, for the codes `credentials_refused` and `permission_missing`. */
  readonly providerReason: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;

  constructor(detail: string, details: ErrorDetails = {}) {
    super(detail, "cause" in details ? { cause: details.cause } : undefined);
    this.code = details.code ?? "";
    this.status = details.status ?? null;
    this.detail = detail;
    this.requestId = details.requestId ?? null;
    this.errors = details.errors ?? [];
    this.connections = details.connections ?? [];
    this.providerReason = details.providerReason ?? null;
    this.retryAfter = details.retryAfter ?? null;
  }

  /** Returns the error as JSON, for a log, a queue or another thread. `from` restores the error. */
  toJSON(): ErrorJson {
    const { name, code, status, detail, requestId, errors, connections, providerReason, retryAfter } = this;
    return { name, code, status, detail, requestId, errors, connections, providerReason, retryAfter };
  }

  /** Restores an error from the result of `toJSON`. The code decides the class. */
  static from(json: Omit<ErrorJson, "name">): OneRuntimeError {
    return new (classOf(json.code, json.status))(json.detail, json);
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    const names = (value as { [CLASSES]?: readonly string[] } | null | undefined)?.[CLASSES];
    // A subclass of your own has no name here, so JavaScript's own rule decides.
    const isOurs = Object.hasOwn(this.prototype, CLASSES) && Array.isArray(names);
    return isOurs ? names.includes(this.prototype.name) : Function.prototype[Symbol.hasInstance].call(this, value);
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

/** The API key does not have the scope that the request needs. `detail` names the scope. */
export class PermissionDenied extends OneRuntimeError {}

/** The request does not fit the present state, such as a session that already made its connection. */
export class Conflict extends OneRuntimeError {}

/** The resource has expired, such as a session or the code of a session. */
export class Gone extends OneRuntimeError {}

/** There were too many requests, and the client's retries failed too. `retryAfter`: seconds to wait. */
export class RateLimited extends OneRuntimeError {}

/** One Runtime failed. Send the `requestId` to the operator of the installation, who finds the cause in the log. */
export class ServerError extends OneRuntimeError {}

/** One Runtime received no usable answer from the provider. Try again later. */
export class ProviderUnavailable extends OneRuntimeError {}

/** One Runtime cannot answer at the moment, and the client's retries failed too. */
export class Unavailable extends OneRuntimeError {}

/**
 * The client did not reach One Runtime, or One Runtime did not answer in time. In both cases, it is possible that One
 * Runtime carried out the request.
 */
export class ConnectionFailed extends OneRuntimeError {}

/** `webhooks.verify` refused a message. Answer with the status 400. `detail` names the reason, without secrets. */
export class WebhookVerificationError extends OneRuntimeError {}

/** The names as text, because a minifier renames classes. */
const NAMED = {
  OneRuntimeError,
  ConnectRequired,
  NotFound,
  InvalidInput,
  Unauthenticated,
  PermissionDenied,
  Conflict,
  Gone,
  RateLimited,
  ServerError,
  ProviderUnavailable,
  Unavailable,
  ConnectionFailed,
  WebhookVerificationError,
};
for (const [name, { prototype }] of Object.entries(NAMED)) {
  const classes = prototype === OneRuntimeError.prototype ? [name] : ["OneRuntimeError", name];
  Object.defineProperty(prototype, "name", { value: name, writable: true, configurable: true });
  Object.defineProperty(prototype, CLASSES, { value: classes });
}

/**
 * The code for a response that does not have the documented form, usually a response of another server. The client
 * never repeats a request after such a response.
 */
export const UNEXPECTED = "unexpected_answer";
export const NOT_VERIFIED = "webhook_not_verified";

/** The codes with a class of their own. The status decides the class of every other code. */
export const CLASS_OF_CODE: ReadonlyMap<string, typeof OneRuntimeError> = new Map([
  ["connect_required", ConnectRequired],
  ["needs_reauth", ConnectRequired],
]);
/** The class of each code that only the client creates. */
const CLASS_OF_OWN_CODE: ReadonlyMap<string, typeof OneRuntimeError> = new Map([
  ["connection_failed", ConnectionFailed],
  ["timeout", ConnectionFailed],
  [UNEXPECTED, OneRuntimeError],
  [NOT_VERIFIED, WebhookVerificationError],
]);

/** The class of each status. The Python client has the same two tables, and a test compares them. */
const CLASS_OF_STATUS: ReadonlyMap<number, typeof OneRuntimeError> = new Map([
  [400, InvalidInput],
  [401, Unauthenticated],
  [403, PermissionDenied],
  [404, NotFound],
  [409, Conflict],
  [410, Gone],
  [412, Conflict],
  [422, InvalidInput],
  [429, RateLimited],
  [500, ServerError],
  [502, ProviderUnavailable],
  [503, Unavailable],
  [504, ProviderUnavailable],
]);

function classOf(code: string, status: number | null) {
  const Kind = CLASS_OF_OWN_CODE.get(code) ?? CLASS_OF_CODE.get(code);
  return Kind ?? CLASS_OF_STATUS.get(status ?? 0) ?? OneRuntimeError;
}

/** Returns the error for a response. Reads the body if the error comes from One Runtime. Cancels any other body. */
export async function errorOf(response: Response, isOurs: boolean): Promise<OneRuntimeError> {
  if (!isOurs) await response.body?.cancel();
  const problem: Problem = isOurs ? problemOf(await response.text()) : {};
  const code = problem.code ?? (isOurs ? response.headers.get("one-runtime-error") : null);
  if (code === null) return unexpected(response, `Another server answered ${response.status} instead of One Runtime`);
  return new (classOf(code, response.status))(problem.detail ?? `One Runtime answered ${response.status} (${code}).`, {
    code,
    status: response.status,
    requestId: problem.request_id ?? response.headers.get("request-id"),
    errors: problem.errors,
    connections: problem.connections?.map(({ created_at: createdAt, ...choice }) => ({ ...choice, createdAt })),
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
  readonly connections?: (Omit<ConnectionChoice, "createdAt"> & { readonly created_at: string })[];
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
