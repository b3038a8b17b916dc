/** Requests to One Runtime: the API key, time limits and retries. */

import { providerPath } from "./addresses.js";
import { Deadline, millisecondsOf, pause } from "./deadline.js";
import { isPage, userAgent, variable } from "./environment.js";
import { errorOf, isProblem, OneRuntimeError, UNEXPECTED, unexpected } from "./errors.js";

/** The waits before six retries last 23.5 seconds or longer. A restart of One Runtime is shorter. */
const MAX_RETRIES = 6;
const FIRST_WAIT = 500; // milliseconds
const LONGEST_BACKOFF = 8000;
/** Maximum milliseconds of all waits of a call, without the random parts. */
const MAX_WAIT = 30_000;
const TIMEOUT = 60_000;
/** Methods that the client repeats after any 503. A POST can have stored changes before the 503. */
const IDEMPOTENT = new Set(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]);
export const KEY_IN_A_BROWSER =
  "The client runs in a browser, where every user can read the API key. Use the client on your server, and open the " +
  "popup with @one-runtime/connect. If only trusted people use this page, set dangerouslyAllowBrowser: true.";

export interface Options {
  /** The URL of One Runtime: `https://connect.example.com`. Default: the variable `ONE_RUNTIME_URL`. */
  baseUrl?: string | undefined;
  /** An API key of your organization, `oru_…`. Keep it on your server. Default: the variable `ONE_RUNTIME_API_KEY`. */
  apiKey?: string | undefined;
  fetch?: typeof globalThis.fetch;
  /** Milliseconds of one attempt, 60000 by default. For calls of `proxy`, also the default of the call's `timeout`. */
  timeout?: number;
  /** Retries after a temporary error, 6 by default. All waits of a call before its retries last up to 30 seconds. */
  maxRetries?: number;
  /** Headers of each request. One Runtime passes them on to the provider in calls of `proxy`. */
  headers?: NonNullable<RequestInit["headers"]>;
  /** A function that waits between two attempts. */
  sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<unknown>;
  /** Allows the client in a browser, where every user of the page can read the API key. */
  dangerouslyAllowBrowser?: boolean;
}

/** Options of one call. */
export interface RequestOptions {
  signal?: AbortSignal;
  /** Milliseconds of one attempt. Default: the client's `timeout`. */
  timeout?: number;
  /** Default: the client's `maxRetries`. */
  maxRetries?: number;
  headers?: NonNullable<RequestInit["headers"]>;
  /** The key of a call that creates something. By default, the client generates a key for each call. */
  idempotencyKey?: string;
  /** The client calls this function with the status and the headers of each successful response. */
  onResponse?: (response: ResponseHead) => void;
}

export interface RawRequestOptions extends RequestOptions {
  /** The client sends this value as JSON, with unchanged keys. */
  json?: unknown;
}

export interface ResponseHead {
  readonly status: number;
  readonly headers: Headers;
}

type Body = NonNullable<RequestInit["body"]>;

/** A request, and the use of its response. */
export interface Exchange<Answer> {
  readonly method: string;
  readonly headers: Headers;
  readonly body?: Body | null | undefined;
  /** True if the body is a stream. The client can read a stream only once. */
  readonly streamed?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timeout?: number | undefined;
  /** Seconds for which One Runtime waits before the answer. The client waits longer by this time. */
  readonly waitSeconds?: number | undefined;
  readonly maxRetries?: number | undefined;
  readonly isAnswer: (response: Response) => boolean;
  readonly isOurs: (response: Response) => boolean;
  readonly read: (response: Response) => Answer | Promise<Answer>;
}

interface JsonRequest<Answer> {
  readonly method: string;
  readonly type?: string | undefined;
  readonly body?: string | undefined;
  readonly options?: RequestOptions | undefined;
  readonly waitSeconds?: number | undefined;
  /** Converts the value of the JSON response. */
  readonly read: (value: unknown, response: Response) => Answer;
}

export class Transport {
  readonly timeout: number;
  readonly #baseUrl: string;
  readonly #apiKey: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #headers: Headers;
  readonly #maxRetries: number;
  readonly #sleep: NonNullable<Options["sleep"]>;

  /**
   * @throws {TypeError} for an invalid option. The message never contains the key, because programs log messages.
   * @throws {Error} in a browser, without `dangerouslyAllowBrowser`.
   */
  constructor(options: Options = {}) {
    if (isPage() && options.dangerouslyAllowBrowser !== true) throw new Error(KEY_IN_A_BROWSER);
    this.#baseUrl = addressOf(options.baseUrl ?? variable("ONE_RUNTIME_URL"));
    this.#apiKey = keyOf(options.apiKey ?? variable("ONE_RUNTIME_API_KEY"));
    this.timeout = millisecondsOf(options.timeout ?? TIMEOUT);
    this.#maxRetries = retriesOf(options.maxRetries ?? MAX_RETRIES);
    this.#headers = new Headers(options.headers);
    if (!this.#headers.has("user-agent")) this.#headers.set("user-agent", userAgent());
    this.#fetch = options.fetch ?? globalThis.fetch;
    this.#sleep = options.sleep ?? pause;
  }

  /** Returns the converted value of the JSON response. @throws {OneRuntimeError} */
  async json<Answer>(path: string, { method, type, body, options = {}, waitSeconds, read }: JsonRequest<Answer>): Promise<Answer> {
    const headers = headersOf(options, type);
    if (headers.has("if-none-match")) {
      throw new TypeError("this method has no result for a 304: send If-None-Match with the method request");
    }
    return this.send(path, {
      ...options,
      method,
      headers,
      body,
      waitSeconds,
      isAnswer: (response) => response.ok,
      isOurs: isProblem,
      read: async (response) => {
        const answer = read(await readJson(response), response);
        options.onResponse?.(headOf(response));
        return answer;
      },
    });
  }

  /** Returns the response of any route. @throws {OneRuntimeError} */
  async raw(method: string, path: string, options: RawRequestOptions = {}): Promise<Response> {
    const headers = headersOf(options, options.json === undefined ? undefined : "application/json");
    return this.send(providerPath(path), {
      ...options,
      method: method.toUpperCase(),
      headers,
      body: options.json === undefined ? null : JSON.stringify(options.json),
      isAnswer: (response) => response.ok || response.status === 304,
      isOurs: isProblem,
      read: (response) => {
        options.onResponse?.(headOf(response));
        return response;
      },
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
    const headers = new Headers(this.#headers);
    for (const [name, value] of request.headers) headers.set(name, value);
    headers.set("authorization", `Bearer ${this.#apiKey}`);
    const retries = request.streamed ? 0 : retriesOf(request.maxRetries ?? this.#maxRetries);
    for (let retry = 0, waited = 0; ; retry += 1) {
      const outcome = await this.#attempt(path, { ...request, headers });
      if ("answer" in outcome) return outcome.answer;
      const { error } = outcome;
      const wait = waitBefore(retry, error);
      waited += wait;
      if (retry === retries || waited > MAX_WAIT || !isTemporary(error, request)) throw error;
      await this.#sleep(lengthened(wait), request.signal);
    }
  }

  async #attempt<Answer>(
    path: string,
    request: Exchange<Answer>,
  ): Promise<{ answer: Answer } | { error: OneRuntimeError }> {
    const { method, headers, body, streamed, signal, timeout = this.timeout, waitSeconds = 0 } = request;
    const init = { method, headers, redirect: "manual", ...(body != null && { body }) } as const;
    const deadline = new Deadline(millisecondsOf(timeout) + waitSeconds * 1000, signal);
    try {
      const sent = { ...init, ...(streamed && { duplex: "half" }), signal: deadline.signal };
      const response = await this.#fetch.call(undefined, this.#baseUrl + path, sent);
      if (request.isAnswer(response)) return { answer: await request.read(response) };
      return { error: await errorOf(response, request.isOurs(response)) };
    } catch (error) {
      return { error: error instanceof OneRuntimeError ? error : deadline.explain(error, this.#baseUrl) };
    } finally {
      deadline.clear();
    }
  }
}

/** Returns the headers of a call. `type`: the media type of the body. */
function headersOf({ headers, idempotencyKey }: RequestOptions, type?: string) {
  const sent = new Headers(headers);
  if (!sent.has("accept")) sent.set("accept", "application/json");
  if (type) sent.set("content-type", type);
  if (idempotencyKey !== undefined && !sent.has("idempotency-key")) sent.set("idempotency-key", idempotencyKey);
  return sent;
}

function headOf({ status, headers }: Response): ResponseHead {
  return { status, headers };
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw unexpected(response, "The answer is not JSON"); // The parser's own message quotes the text.
  }
}

/** Returns the milliseconds until the next attempt. */
function waitBefore(retry: number, { retryAfter }: OneRuntimeError) {
  return retryAfter === null ? Math.min(FIRST_WAIT * 2 ** retry, LONGEST_BACKOFF) : retryAfter * 1000;
}

/** Lengthens a wait by up to a quarter at random, so that many clients do not return at the same time. */
function lengthened(wait: number) {
  return wait * (1 + Math.random() / 4);
}

/** Returns true if the error is temporary and comes from One Runtime, and if a repeated request is harmless. */
function isTemporary({ code, status }: OneRuntimeError, { method, headers }: Exchange<unknown>) {
  if (code === UNEXPECTED) return false;
  const harmless = IDEMPOTENT.has(method) || headers.has("idempotency-key");
  if (status === 429 || code === "database_busy" || code === "idempotency_key_in_use") return true;
  return harmless && (status === 503 || code === "connection_failed");
}

/** @throws {TypeError} for a text that cannot be a key. */
function keyOf(apiKey?: string) {
  if (typeof apiKey === "string" && /^[!-~]+$/.test(apiKey)) return apiKey;
  throw new TypeError("apiKey must be an API key, oru_…: pass apiKey, or set the variable ONE_RUNTIME_API_KEY");
}

/** @throws {TypeError} for a value that is not a number of retries. */
function retriesOf(maxRetries: number) {
  if (Number.isInteger(maxRetries) && maxRetries >= 0) return maxRetries;
  throw new TypeError("maxRetries must be 0 or a positive integer");
}

/** @throws {TypeError} for a text that is no address of a server. */
function addressOf(baseUrl?: string) {
  const url = baseUrl !== undefined && URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  const isPlain = url && !url.username && !url.password && !url.search && !url.hash;
  if (!isPlain || !["http:", "https:"].includes(url.protocol)) {
    throw new TypeError(
      "baseUrl must be an http or https address without a user name, password, query or fragment: " +
        "pass baseUrl, or set the variable ONE_RUNTIME_URL",
    );
  }
  return url.href.replace(/\/+$/, "");
}
