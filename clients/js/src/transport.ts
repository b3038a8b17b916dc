/** Requests to One Runtime: the API key, time limits and retries. */

import { setTimeout as delay } from "node:timers/promises";

import { Deadline, millisecondsOf } from "./deadline.js";
import { errorOf, isProblem, type OneRuntimeError, UNEXPECTED, unexpected } from "./errors.js";

const MAX_ATTEMPTS = 3;
const FIRST_WAIT = 500; // milliseconds
const MAX_WAIT = 30_000;
const TIMEOUT = 60_000;
/** Methods that the client repeats after any 503. A POST can have stored changes before the 503. */
const IDEMPOTENT = new Set(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]);

export interface Options {
  /** The address of One Runtime: `https://connect.example.com`. */
  baseUrl: string;
  /** An API key of your organization, `oru_…`. Keep the key on your server. */
  apiKey: string;
  fetch?: typeof globalThis.fetch;
  /** Milliseconds of one attempt, 60000 by default. For calls of `proxy`, also the default of the call's `timeout`. */
  timeout?: number;
  /** A function that waits between two attempts. */
  sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<unknown>;
}

export interface RequestOptions {
  signal?: AbortSignal;
}

type Body = NonNullable<RequestInit["body"]>;

/** A request, and the use of its response. */
interface Exchange<Answer> {
  readonly method: string;
  readonly headers: Headers;
  readonly body?: Body | null | undefined;
  /** True if the body is a stream. The client can read a stream only once. */
  readonly streamed?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly timeout?: number;
  readonly isAnswer: (response: Response) => boolean;
  readonly isOurs: (response: Response) => boolean;
  readonly read: (response: Response) => Answer | Promise<Answer>;
}

interface JsonRequest {
  readonly method: string;
  readonly type?: string;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

export class Transport {
  readonly timeout: number;
  readonly #baseUrl: string;
  readonly #apiKey: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #sleep: NonNullable<Options["sleep"]>;

  /** @throws {TypeError} for an invalid option. The message never contains the key, because programs log messages. */
  constructor({ baseUrl, apiKey, fetch = globalThis.fetch, timeout = TIMEOUT, sleep = pause }: Partial<Options> = {}) {
    this.#baseUrl = addressOf(baseUrl);
    if (typeof apiKey !== "string" || !/^[!-~]+$/.test(apiKey)) {
      throw new TypeError("apiKey must be an API key, oru_…");
    }
    this.timeout = millisecondsOf(timeout);
    this.#apiKey = apiKey;
    this.#fetch = fetch;
    this.#sleep = sleep;
  }

  /** Returns the value of the JSON response, or undefined for a 204. @throws {OneRuntimeError} */
  async json(path: string, { method, type, body, signal }: JsonRequest): Promise<unknown> {
    const headers = new Headers({ accept: "application/json" });
    if (type) headers.set("content-type", type);
    return this.send(path, {
      method,
      headers,
      body,
      signal,
      isAnswer: (response) => response.ok,
      isOurs: isProblem,
      read: readJson,
    });
  }

  /**
   * If `isAnswer` returns true for the response, returns the result of `read`. Any other response is an error. The
   * error comes from One Runtime if `isOurs` returns true. The client retries after a temporary error, except if the
   * body is a stream, because the client can read a stream only once.
   *
   * @throws {OneRuntimeError}
   */
  async send<Answer>(path: string, request: Exchange<Answer>): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#attempt(path, request);
      if ("answer" in outcome) return outcome.answer;
      const { error } = outcome;
      const wait = waitBeforeRetry(error, attempt, request.method);
      if (wait === null || request.streamed) throw error;
      await this.#sleep(wait, request.signal);
    }
  }

  async #attempt<Answer>(
    path: string,
    request: Exchange<Answer>,
  ): Promise<{ answer: Answer } | { error: OneRuntimeError }> {
    const { method, headers, body, streamed, signal, timeout = this.timeout } = request;
    const sent = new Headers(headers);
    sent.set("authorization", `Bearer ${this.#apiKey}`);
    const init: RequestInit = { method, headers: sent, redirect: "manual", ...(body != null && { body }) };
    if (streamed) init.duplex = "half";
    const deadline = new Deadline(timeout, signal);
    try {
      const response = await this.#fetch.call(undefined, this.#baseUrl + path, { ...init, signal: deadline.signal });
      if (request.isAnswer(response)) return { answer: await request.read(response) };
      return { error: await errorOf(response, request.isOurs(response)) };
    } catch (error) {
      throw deadline.explain(error, this.#baseUrl);
    } finally {
      deadline.clear();
    }
  }
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text();
  if (response.status === 204) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw unexpected(response, "The answer is not JSON"); // The parser's own message quotes the text.
  }
}

/** Returns the milliseconds until the next attempt, or null if the client does not retry. */
function waitBeforeRetry(error: OneRuntimeError, attempt: number, method: string) {
  if (!isTemporary(error, method) || attempt >= MAX_ATTEMPTS) return null;
  const wait = error.retryAfter === null ? FIRST_WAIT * 2 ** (attempt - 1) : error.retryAfter * 1000;
  return wait <= MAX_WAIT ? wait : null;
}

/** Returns true if the error is temporary and comes from One Runtime, and if a repeated request is harmless. */
function isTemporary({ code, status }: OneRuntimeError, method: string) {
  if (code === UNEXPECTED) return false;
  return status === 429 || (status === 503 && (code === "database_busy" || IDEMPOTENT.has(method)));
}

function addressOf(baseUrl?: string) {
  const url = baseUrl !== undefined && URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  const isPlain = url && !url.username && !url.password && !url.search && !url.hash;
  if (!isPlain || !["http:", "https:"].includes(url.protocol)) {
    throw new TypeError("baseUrl must be an http or https address without a user name, password, query or fragment");
  }
  return url.href.replace(/\/+$/, "");
}

async function pause(milliseconds: number, signal?: AbortSignal) {
  try {
    await delay(milliseconds, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
