/** Requests to One Runtime: the key, the time they may take, and what is tried again. */

import { setTimeout as wait } from "node:timers/promises";

import { Deadline, millisecondsOf } from "./deadline.js";
import { errorOf, isProblem, UNEXPECTED, unexpected } from "./errors.js";

const MOST_ATTEMPTS = 3;
const FIRST_WAIT = 500; // milliseconds
const LONGEST_WAIT = 30_000;
const TIMEOUT = 60_000;
/** What may be done twice. A POST may have been done where a 503 says that the database went away. */
const REPEATABLE = new Set(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]);

export class Transport {
  #baseUrl;
  #apiKey;
  #fetch;
  #sleep;

  /** @throws {TypeError} without a word of the key, which logs would keep. */
  constructor({ baseUrl, apiKey, fetch = globalThis.fetch, timeout = TIMEOUT, sleep = pause } = {}) {
    this.#baseUrl = addressOf(baseUrl);
    if (typeof apiKey !== "string" || !/^[!-~]+$/.test(apiKey)) throw new TypeError("apiKey is not an API key");
    this.timeout = millisecondsOf(timeout);
    this.#apiKey = apiKey;
    this.#fetch = fetch;
    this.#sleep = sleep;
  }

  /** The answer's JSON; undefined where it has none. @throws {OneRuntimeError} */
  async json(path, { method, type, body, signal }) {
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
   * What `read` makes of what `isAnswer`; all else is an error, and One Runtime's where it `isOurs`. What passes is
   * tried again, unless the body is a stream, which has gone by.
   *
   * @throws {OneRuntimeError}
   */
  async send(path, asked) {
    for (let attempt = 1; ; attempt += 1) {
      const { answer, error } = await this.#attempt(path, asked);
      if (!error) return answer;
      const pausing = pauseAfter(error, attempt, asked.method);
      if (pausing === null || asked.streamed) throw error;
      await this.#sleep(pausing, asked.signal);
    }
  }

  async #attempt(path, asked) {
    const { method, headers, body, streamed, signal, timeout = this.timeout } = asked;
    const sent = new Headers(headers);
    sent.set("authorization", `Bearer ${this.#apiKey}`);
    const init = { method, headers: sent, redirect: "manual", ...(body != null && { body }) };
    if (streamed) init.duplex = "half";
    const deadline = new Deadline(timeout, signal);
    try {
      const response = await this.#fetch.call(undefined, this.#baseUrl + path, { ...init, signal: deadline.signal });
      if (asked.isAnswer(response)) return { answer: await asked.read(response) };
      return { error: await errorOf(response, asked.isOurs(response)) };
    } catch (error) {
      throw deadline.explain(error, this.#baseUrl);
    } finally {
      deadline.clear();
    }
  }
}

async function readJson(response) {
  const text = await response.text();
  if (response.status === 204) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw unexpected(response, "One Runtime's answer is not JSON"); // in our words: the parser's quote the text
  }
}

/** Milliseconds until the next attempt; null where this error is the caller's. */
function pauseAfter(error, attempt, method) {
  if (!passes(error, method) || attempt >= MOST_ATTEMPTS) return null;
  const told = error.retryAfter === null ? FIRST_WAIT * 2 ** (attempt - 1) : error.retryAfter * 1000;
  return told <= LONGEST_WAIT ? told : null;
}

/** Whether One Runtime itself said that it cannot now, and nothing was done or it may be done twice. */
function passes({ code, status }, method) {
  if (code === UNEXPECTED) return false;
  return status === 429 || (status === 503 && (code === "database_busy" || REPEATABLE.has(method)));
}

function addressOf(baseUrl) {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  const plain = url && !url.username && !url.password && !url.search && !url.hash;
  if (!plain || !["http:", "https:"].includes(url.protocol)) throw new TypeError("baseUrl is no http(s) address");
  return url.href.replace(/\/+$/, "");
}

async function pause(milliseconds, signal) {
  try {
    await wait(milliseconds, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
