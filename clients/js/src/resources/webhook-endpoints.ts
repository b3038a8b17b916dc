/**
 * The endpoints that receive events.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export interface WebhookEndpoints {
  /**
   * List all webhook endpoints of your organization, oldest first.
   *
   * The API key needs the scope `admin`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(options?: RequestOptions): Promise<WebhookEndpoint[]>;
  /**
   * Create a webhook endpoint. It receives the events that happen from now on.
   *
   * Only this response contains the secret. Your organization can have at most 100 endpoints.
   *
   * The API key needs the scope `admin`.
   *
   * @throws {Conflict} with the code `idempotency_key_in_use` or `conflict`.
   * @throws {InvalidInput} with the code `invalid_input`, `idempotency_key_reused` or `target_refused`.
   */
  create(input: NewWebhookEndpoint, options?: RequestOptions): Promise<CreatedWebhookEndpoint>;
  /**
   * Return a webhook endpoint of your organization. The `ETag` changes only with the settings.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(webhookEndpointId: string, options?: RequestOptions): Promise<WebhookEndpoint>;
  /**
   * Change a webhook endpoint. A request that changes nothing writes no event.
   *
   * Waiting events go to the new URL.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input` or `target_refused`.
   */
  update(webhookEndpointId: string, input: WebhookEndpointUpdate, options?: RequestOptions): Promise<WebhookEndpoint>;
  /**
   * Delete a webhook endpoint with its deliveries. One Runtime does not send its waiting events.
   *
   * The response has the endpoint as it last was, without its secret. `pendingDeliveries` is the number of the waiting
   * events.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  delete(webhookEndpointId: string, options?: RequestOptions): Promise<WebhookEndpoint>;
  /**
   * Create a new secret. During the overlap, each message has a signature by each of the two secrets.
   *
   * A second rotation during the overlap ends the validity of the oldest secret immediately.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `idempotency_key_in_use`.
   * @throws {InvalidInput} with the code `invalid_input` or `idempotency_key_reused`.
   */
  rotate(webhookEndpointId: string, input: SecretRotation, options?: RequestOptions): Promise<RotatedSecret>;
  /**
   * Send a test message to the URL now, and return the receiver's answer.
   *
   * `type` selects the type of a made-up event, also a type that the endpoint does not receive. One Runtime does not
   * store the message, and does not repeat it. The status of the endpoint stays the same.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  test(
    webhookEndpointId: string,
    query?: {
      /** The type of the message. Default: `"webhook.test"`. */
      type?: string;
    },
    options?: RequestOptions,
  ): Promise<WebhookTest>;
}

/** A webhook endpoint. */
export interface NewWebhookEndpoint {
  /** `push`: One Runtime sends the events to `url`. `pull`: your program fetches the events. Default: `"push"`. */
  kind?: "push" | "pull";
  /** The https URL that receives the events. Omit it for the kind `pull`. */
  url?: string;
  /** A list of types such as `connection.created`, groups such as `connection.*`, or `*` for all types. */
  eventTypes: string[];
  /** `connection` adds the connection to each message. */
  include?: "connection"[];
  /** Your own note about the endpoint. Default: `""`. */
  description?: string;
  /** The time in seconds after which One Runtime deletes the endpoint, 60 to 2,592,000. */
  expiresIn?: number;
}

/**
 * The fields to change. An omitted field keeps its value.
 *
 * `status`: a paused endpoint collects events for up to 72 hours. With `active`, One Runtime sends these events. A
 * disabled endpoint becomes active again, and `POST …/replay` sends what the endpoint missed.
 *
 * `expiresIn`: seconds from now until One Runtime deletes the endpoint. With null, the endpoint stays.
 */
export interface WebhookEndpointUpdate {
  /** The new URL. */
  url?: string | null;
  /** The types of the events that the endpoint receives. */
  eventTypes?: string[] | null;
  /** `connection` adds the connection to each message. */
  include?: "connection"[] | null;
  /** Your own note about the endpoint. */
  description?: string | null;
  /** `paused` keeps the events back. `active` sends them. */
  status?: "active" | "paused" | null;
  /** The time in seconds, from now, after which One Runtime deletes the endpoint. Null: never. */
  expiresIn?: number | null;
}

/** `overlapSeconds`: the time for which One Runtime signs with the old secret too, at most 7 days. */
export interface SecretRotation {
  /** The time in seconds for which both secrets sign. Default: `86400`. */
  overlapSeconds?: number;
}

/** A webhook endpoint, without its secret. */
export interface WebhookEndpoint {
  /** The id. Ids are UUIDs. */
  id: string;
  /** `push`: One Runtime sends the events to `url`. `pull`: your program fetches the events. */
  kind: "push" | "pull";
  /** The URL that receives the events. Null for the kind `pull`. */
  url: string | null;
  /** The types of the events that the endpoint receives. */
  eventTypes: string[];
  /** What One Runtime adds to each message. */
  include: "connection"[];
  /** Your own note about the endpoint. */
  description: string;
  /** `active`, `paused`, or `disabled` by One Runtime. */
  status: "active" | "paused" | "disabled";
  /** The reason why One Runtime disabled the endpoint, or null. */
  disabledReason: "gone" | "failing" | "overflow" | "secret_lost" | null;
  /** The time at which One Runtime deletes the endpoint, or null. */
  expiresAt: string | null;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time of the last change, as in RFC 3339. */
  updatedAt: string;
  /** The time of the first failed attempt since the last success, or null. */
  failingSince: string | null;
  /** The time of the last success, up to a minute too early, or null. */
  lastSuccessAt: string | null;
  /** The number of events that the endpoint has not received yet. */
  pendingDeliveries: number;
}

/** A new webhook endpoint. Only this response contains `secret`, with which you verify the messages. */
export interface CreatedWebhookEndpoint extends WebhookEndpoint {
  /** The secret. No other response contains it. Do not log it. */
  secret: string;
}

/** The new secret. Only this response contains the secret. The old secret is valid until `oldSecretExpiresAt`. */
export interface RotatedSecret {
  /** The new secret. No other response contains it. Do not log it. */
  secret: string;
  /** The time at which the old secret stops signing. */
  oldSecretExpiresAt: string;
}

/** The receiver's answer to a test message. `errorCode`: the reason why there is no answer, or null. */
export interface WebhookTest {
  /** True if the receiver answered with a status from 200 to 299. */
  isSuccess: boolean;
  /** The HTTP status of the response, or null. */
  httpStatus: number | null;
  /** The reason why there is no response, or null. */
  errorCode: string | null;
  /** The duration of the request in milliseconds. */
  durationMs: number;
  /** The beginning of the response body, without secrets, or null. */
  responseExcerpt: string | null;
}

export default resource<WebhookEndpoints>("webhookEndpoints")({
  list: {
    method: "GET",
    path: "/v1/webhook-endpoints",
    items: "webhookEndpoints",
    returns: ["id", "kind", "eventTypes"],
  },
  create: {
    method: "POST",
    path: "/v1/webhook-endpoints",
    takes: "body",
    creates: true,
    returns: ["id", "kind", "eventTypes", "secret"],
    secrets: ["secret"],
  },
  get: {
    method: "GET",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}",
    returns: ["id", "kind", "eventTypes"],
  },
  update: {
    method: "PATCH",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}",
    takes: "body",
    returns: ["id", "kind", "eventTypes"],
  },
  delete: {
    method: "DELETE",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}",
    returns: ["id", "kind", "eventTypes"],
  },
  rotate: {
    method: "POST",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret",
    takes: "body",
    creates: true,
    returns: ["secret", "oldSecretExpiresAt"],
    secrets: ["secret"],
  },
  test: {
    method: "POST",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}/test",
    takes: "query",
    returns: ["isSuccess", "durationMs"],
  },
});
