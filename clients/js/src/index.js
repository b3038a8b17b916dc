/** The exports of the package. */

export { OneRuntime } from "./client.js";
export {
  ConnectionFailed,
  ConnectRequired,
  InvalidInput,
  NotFound,
  OneRuntimeError,
  RateLimited,
  Unauthenticated,
  Unavailable,
} from "./errors.js";
export { OPERATIONS } from "./operations.js";
