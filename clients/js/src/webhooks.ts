/** Verifies the webhooks of One Runtime in your backend, as Standard Webhooks 1.0.0 describes. Needs only Web Crypto. */

import { NOT_VERIFIED, WebhookVerificationError } from "./errors.js";
import { fromWire } from "./names.js";
import type { EventType } from "./resources/event-types.js";
import type { Connection, WebhookMessage } from "./resources/index.js";

export type { EventType };

/** A verified event. `data` has the fields of the event as in `events.get`, in camel case. */
export interface WebhookEvent extends WebhookMessage {
  /** The type of the event. A later version of One Runtime can send further types. */
  type: EventType | (string & {});
  /** Your own identifier of the end user, or null. */
  endUserId: string | null;
  /** The id of the connection, or null. */
  connectionId: string | null;
  /**
   * The connection at the time of sending, if the webhook endpoint includes connections. Null if the endpoint does not
   * include connections, or if the connection no longer exists.
   */
  connection: Connection | null;
}

/** The headers of a request: a `Headers` object, or the object of Node and Express. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

/** Maximum difference in seconds between the time of a message and the clock of your server. */
const TOLERANCE = 300;
const PREFIX = /^whsec_/;
/** Bytes, by the standard. An empty key would let everyone sign messages. */
const MIN_KEY = 24;
const RAW_BODY =
  "body must be the raw body of the request, because the signature covers its bytes. The body is already parsed, or " +
  'missing. In Express, use express.raw({ type: "application/json" }) for this route, and pass request.body. In Next.js ' +
  "(App Router), Hono, Deno, Bun and Workers, pass await request.text().";

/**
 * Verifies the signature and the time of a message, and returns its event. A message can arrive twice, with the same
 * `id`. To ignore repetitions, store the ids of processed events.
 *
 * @param secret The secret of the webhook endpoint, `whsec_…`. During a rotation, pass a list with both secrets.
 * @param headers The headers of the request.
 * @param body The raw body of the request, before a framework parses the body.
 * @throws {WebhookVerificationError} if the message does not come from One Runtime, was changed, or is more than 5
 *   minutes old. Answer with the status 400.
 * @throws {TypeError} if `body` is not raw, or if `secret` is not the secret of a webhook endpoint.
 */
export async function verify(
  secret: string | readonly string[],
  headers: WebhookHeaders,
  body: string | Uint8Array | ArrayBuffer,
): Promise<WebhookEvent> {
  const keys = keysOf(secret);
  const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((name) => headerOf(headers, `webhook-${name}`));
  checkTime(timestamp as string);
  const content = bytesOf(body);
  const signed = joined(new TextEncoder().encode(`${id}.${timestamp}.`), content);
  const expected = await Promise.all(keys.map((key) => signatureOf(key, signed)));
  const received = (signatures as string).split(" ");
  if (!expected.some((signature) => received.some((other) => isEqual(signature, other)))) {
    throw refusal(
      "No signature of the message matches. Check that the secret belongs to this webhook endpoint, and that the body " +
        "is the raw body of the request: JSON that was parsed and encoded again has other bytes.",
    );
  }
  return eventOf(new TextDecoder().decode(content));
}

function refusal(detail: string, cause?: unknown) {
  return new WebhookVerificationError(detail, { code: NOT_VERIFIED, ...(cause !== undefined && { cause }) });
}

function keysOf(secret: string | readonly string[]) {
  const keys = [secret].flat().map(keyOf);
  if (keys.length === 0) throw new TypeError("secret must contain at least one secret");
  return keys;
}

/** @throws {TypeError} without the secret in the message, because programs log messages. */
function keyOf(secret: string) {
  const text = typeof secret === "string" ? secret.replace(PREFIX, "") : "";
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0;
  const key = Uint8Array.from(isBase64 ? atob(text) : "", (character) => character.charCodeAt(0));
  if (key.length >= MIN_KEY) return key;
  throw new TypeError("secret must be the secret of a webhook endpoint: whsec_ and at least 24 bytes in base64");
}

function headerOf(headers: WebhookHeaders, name: string) {
  const value = isHeaders(headers) ? headers.get(name) : memberOf(headers, name);
  if (value) return value;
  throw refusal(`The request has no header ${name}. One Runtime did not send the request.`);
}

function isHeaders(headers: WebhookHeaders): headers is Headers {
  return typeof headers.get === "function";
}

function memberOf(headers: Exclude<WebhookHeaders, Headers>, name: string) {
  const [, value] = Object.entries(headers).find(([key]) => key.toLowerCase() === name) ?? [];
  return [value].flat()[0];
}

function checkTime(timestamp: string) {
  if (!/^[0-9]{1,12}$/.test(timestamp)) throw refusal("The header webhook-timestamp must contain seconds since 1970.");
  const age = Math.floor(Date.now() / 1000) - Number(timestamp);
  if (Math.abs(age) <= TOLERANCE) return;
  throw refusal(
    `The time of the message is ${Math.abs(age)} seconds in the ${age > 0 ? "past" : "future"}. At most ${TOLERANCE} ` +
      "seconds are allowed. Either the message is a repetition, or the clock of this server is wrong.",
  );
}

function bytesOf(body: unknown) {
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  // Not instanceof, because the buffers of Jest belong to another realm.
  if (Object.prototype.toString.call(body) === "[object ArrayBuffer]") return new Uint8Array(body as ArrayBuffer);
  throw new TypeError(RAW_BODY);
}

function joined(first: Uint8Array, second: Uint8Array) {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

async function signatureOf(key: Uint8Array<ArrayBuffer>, content: Uint8Array<ArrayBuffer>) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", imported, content));
  return `v1,${btoa(String.fromCharCode(...signature))}`;
}

/** Compares two signatures. The duration does not depend on the place of the first difference. */
function isEqual(expected: string, received: string) {
  if (received.length !== expected.length) return false;
  let difference = 0;
  for (let place = 0; place < expected.length; place += 1) {
    difference |= expected.charCodeAt(place) ^ received.charCodeAt(place);
  }
  return difference === 0;
}

function eventOf(text: string): WebhookEvent {
  let message: WebhookMessage | null;
  try {
    message = fromWire(JSON.parse(text)) as WebhookMessage | null;
  } catch (error) {
    throw refusal("The message has a valid signature, but is not JSON.", error);
  }
  const { id, type, timestamp, data } = message ?? {};
  const isEvent = [id, type, timestamp].every((value) => typeof value === "string") && typeof data === "object" && data;
  if (!isEvent) throw refusal("The message has a valid signature, but is not an event.");
  const { endUserId = null, connectionId = null, connection = null } = data as Partial<WebhookEvent>;
  return { ...(message as WebhookMessage), endUserId, connectionId, connection };
}
