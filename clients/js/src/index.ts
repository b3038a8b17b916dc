/** The JavaScript client of One Runtime. Names are the API's names (docs/vocabulary.md) in camel case. */

export type { QueryValue } from "./addresses.js";
export { OneRuntime } from "./client.js";
export {
  Conflict,
  ConnectionFailed,
  ConnectRequired,
  type ErrorDetails,
  type ErrorJson,
  type ConnectionChoice,
  type FieldError,
  Gone,
  InvalidInput,
  NotFound,
  OneRuntimeError,
  PermissionDenied,
  ProviderUnavailable,
  RateLimited,
  ServerError,
  Unauthenticated,
  Unavailable,
  WebhookVerificationError,
} from "./errors.js";
export { forward } from "./forward.js";
export {
  expressHandler,
  fetchHandler,
  type HandlerOptions,
  type SignedInUser,
  type UserResult,
} from "./handlers.js";
export type { Page, Pages, Paging } from "./pages.js";
export type { CallOptions, ConnectionSelector, ProviderProxy, ProxyBody, ProxyOptions } from "./proxy.js";
export { OPERATIONS } from "./resources/api.js";
export type * from "./resources/index.js";
export type { Options, RawRequestOptions, RequestOptions, ResponseHead } from "./transport.js";
export type * from "./values.js";
export type { EventType, WebhookEvent, WebhookHeaders } from "./webhooks.js";
export * as webhooks from "./webhooks.js";
