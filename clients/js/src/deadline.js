/** How long one attempt may take, beside what the caller's own signal says. */

import { ConnectionFailed, OneRuntimeError } from "./errors.js";

/** Beyond it, a timer goes off at once. */
const LONGEST = 2 ** 31 - 1;

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
    if (this.#passed.signal.aborted)
      return new ConnectionFailed(`${baseUrl} did not answer in time.`, { code: "timeout" });
    const reason = error?.cause?.code ?? error?.cause?.message ?? error?.message ?? "no reason was told";
    return new ConnectionFailed(`${baseUrl} was not reached: ${reason}.`, { code: "connection_failed", cause: error });
  }
}
