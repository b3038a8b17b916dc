/** The time limit of one attempt, combined with the caller's own signal. */

import { ConnectionFailed } from "./errors.js";

/** The codes of the timeouts of Node's own `fetch`: for the connection, the headers, and a pause in the body. */
const FETCH_TIMEOUTS = new Set<string | undefined>(["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]);
/** Maximum delay of a timer in milliseconds. Node runs a timer with a longer delay at once. */
const MAX_DELAY = 2 ** 31 - 1;

/** An exception of `fetch`. Node puts the reason into `cause`. */
interface Failure {
  readonly message?: string;
  readonly cause?: { readonly code?: string; readonly message?: string } | null;
}

/** Returns the timeout unchanged. @throws {TypeError} for a value that is not a positive number. */
export function millisecondsOf(timeout: number): number {
  if (!(timeout > 0)) throw new TypeError("timeout must be a positive number of milliseconds");
  return timeout;
}

export class Deadline {
  readonly signal: AbortSignal;
  readonly #passed = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #callerSignal: AbortSignal | undefined;

  constructor(milliseconds: number, callerSignal?: AbortSignal) {
    this.#callerSignal = callerSignal;
    this.#timer = setTimeout(() => this.#passed.abort(), Math.min(milliseconds, MAX_DELAY));
    this.signal = callerSignal ? AbortSignal.any([callerSignal, this.#passed.signal]) : this.#passed.signal;
  }

  /** Stops the timer. The caller's signal can still abort the reading of the response's body. */
  clear(): void {
    clearTimeout(this.#timer);
  }

  /** Converts an exception of `fetch` into an error of the client. @throws the reason of the caller's own signal. */
  explain(error: unknown, baseUrl: string): ConnectionFailed {
    this.#callerSignal?.throwIfAborted();
    const { cause, message } = (error ?? {}) as Failure;
    if (this.#passed.signal.aborted || FETCH_TIMEOUTS.has(cause?.code))
      return new ConnectionFailed(`${baseUrl} did not answer in time.`, { code: "timeout" });
    const reason = cause?.code ?? cause?.message ?? message ?? "unknown reason";
    return new ConnectionFailed(`${baseUrl} was not reached: ${reason}.`, { code: "connection_failed", cause: error });
  }
}

/** Waits. @throws the reason of the signal. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    return signal?.addEventListener("abort", stop, { once: true });
  });
}
