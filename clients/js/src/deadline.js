/** How long one attempt may take, beside what the caller's own signal says. */

import { ConnectionFailed, OneRuntimeError } from "./errors.js";

/** Codes of the timeouts that Node's own fetch has: for the connection, the headers, and two parts of the body. */
const FETCH_TIMEOUTS = new Set(["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]);
/** Beyond it, a timer goes off at once. */
const LONGEST = 2 ** 31 - 1;

/** A time as it is. @throws {TypeError} where it is none. */
export function millisecondsOf(timeout) {
  if (!(timeout > 0)) throw new TypeError("timeout is a number of milliseconds");
  return timeout;
}

export class Deadline {
  #passed = new AbortController();
  #timer;
  #callers;

  constructor(milliseconds, callers) {
    this.#callers = callers;
    this.#timer = setTimeout(() => this.#passed.abort(), Math.min(milliseconds, LONGEST));
    this.signal = callers ? AbortSignal.any([callers, this.#passed.signal]) : this.#passed.signal;
  }

  /** No longer counts; the caller's signal still does, for a body that is yet to come. */
  clear() {
    clearTimeout(this.#timer);
  }

  /** What an attempt's exception means for the caller. */
  explain(error, baseUrl) {
    if (error instanceof OneRuntimeError) return error;
    if (this.#callers?.aborted) return this.#callers.reason;
    if (this.#passed.signal.aborted || FETCH_TIMEOUTS.has(error?.cause?.code))
      return new ConnectionFailed(`${baseUrl} did not answer in time.`, { code: "timeout" });
    const reason = error?.cause?.code ?? error?.cause?.message ?? error?.message ?? "no reason was told";
    return new ConnectionFailed(`${baseUrl} was not reached: ${reason}.`, { code: "connection_failed", cause: error });
  }
}
