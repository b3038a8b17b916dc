/**
 * The JavaScript client of One Runtime. Names are the API's names (docs/vocabulary.md) in camel case.
 *
 * A file of `resources` exports its types by name and its operations as the default export. `export *` does not
 * export a default export, so the package does not export the operations of single resources.
 */

export type { QueryValue } from "./addresses.js";
export { OneRuntime, OPERATIONS } from "./client.js";
export {
  Conflict,
  ConnectionFailed,
  ConnectRequired,
  type ErrorDetails,
  type ErrorJson,
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
export type * from "./resources/api-keys.js";
export type * from "./resources/catalog.js";
export type * from "./resources/connections.js";
export type * from "./resources/custom-integrations.js";
export type * from "./resources/end-users.js";
export type * from "./resources/events.js";
export type * from "./resources/integrations.js";
export type * from "./resources/oauth-clients.js";
export type * from "./resources/organization.js";
export type * from "./resources/proxy-requests.js";
export type * from "./resources/sessions.js";
export type { Options, RawRequestOptions, RequestOptions, ResponseHead } from "./transport.js";
