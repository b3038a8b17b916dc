/**
 * The deliveries of events to webhook endpoints.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";

export interface WebhookDeliveries {
  /**
   * Mark events as delivered. One Runtime ignores events that are not pending.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  acknowledge(
    webhookEndpointId: string,
    input: WebhookAcknowledgement,
    options?: RequestOptions,
  ): Promise<AcknowledgedWebhooks>;
  /**
   * List the deliveries of a webhook endpoint, by the newest event first.
   *
   * One Runtime keeps a delivery as long as its event.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(
    webhookEndpointId: string,
    query?: {
      /** Only deliveries with this status. */
      status?: ("pending" | "delivered" | "failed" | "cancelled") | ("pending" | "delivered" | "failed" | "cancelled")[];
      /** Only events of this type. */
      type?: string | string[];
      /** Only items at or after this time, as in RFC 3339. */
      since?: string;
      /** Only items before this time, as in RFC 3339. */
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<WebhookDelivery>;
  /**
   * Return the delivery of an event to a webhook endpoint, with its attempts.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @param eventId The id of the event.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(webhookEndpointId: string, eventId: string, options?: RequestOptions): Promise<WebhookDeliveryDetails>;
  /**
   * Deliver an event to a webhook endpoint again, now. If this attempt fails, a new schedule of attempts begins.
   *
   * Message ids do not change, so a receiver can ignore a repeated message.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @param eventId The id of the event.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  retry(webhookEndpointId: string, eventId: string, options?: RequestOptions): Promise<WebhookDelivery>;
  /**
   * Return pending events, oldest first. Events that you do not acknowledge within a minute are pending again.
   *
   * With `waitSeconds`, the request waits until an event is pending. If the endpoint is deleted, paused or disabled
   * meanwhile, the wait ends with an error. Several programs can fetch events at the same time: each event goes to one
   * of them.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  pull(
    webhookEndpointId: string,
    query?: {
      /** Maximum number of items on a page. Default: `100`. */
      limit?: number;
      /** The time in seconds to wait for an event. Default: `0`. */
      waitSeconds?: number;
    },
    options?: RequestOptions,
  ): Promise<PendingWebhookMessages>;
  /**
   * Deliver the failed or missing events of a time again. New events do not wait for the repeated ones.
   *
   * One request queues at most 100,000 deliveries. One Runtime keeps events for 90 days. The operator can change this
   * time.
   *
   * The API key needs the scope `admin`.
   *
   * @param webhookEndpointId The id of the webhook endpoint.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  replay(webhookEndpointId: string, input: WebhookReplay, options?: RequestOptions): Promise<QueuedWebhooks>;
}

/** The ids of the events that your program has stored. */
export interface WebhookAcknowledgement {
  /** The ids of the events to acknowledge. */
  eventIds: string[];
}

/**
 * The events to deliver again.
 *
 * - `since`, `until`: events at or after `since`, and before `until`. Without `until`, up to now.
 */
export interface WebhookReplay {
  /** Only events at or after this time, such as `2026-11-25T01:02:03Z`. */
  since: string;
  /** Only items before this time, as in RFC 3339. */
  until?: string;
  /** `failed`, `missing` or `all`. Default: `"failed"`. */
  status?: "failed" | "missing" | "all";
  /** Only events of these types. Default: the types of the endpoint. */
  types?: string[];
}

/** `acknowledged`: number of events that were pending until now. */
export interface AcknowledgedWebhooks {
  /** The number of events that were pending until now. */
  acknowledged: number;
}

/** An event, as One Runtime also sends the event to URLs (docs/webhooks.md). */
export interface WebhookMessage {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The type of the event. */
  type: string;
  /** The time of the event. */
  timestamp: string;
  /** The data of the event. */
  data: { [key: string]: unknown };
}

/** The pending events, oldest first. */
export interface PendingWebhookMessages {
  /** The events, oldest first. */
  messages: WebhookMessage[];
}

/** `queuedDeliveries`: number of queued deliveries. If it is 100,000, repeat the request for the others. */
export interface QueuedWebhooks {
  /** The number of queued deliveries. */
  queuedDeliveries: number;
}

/** The delivery of one event to one endpoint. */
export interface WebhookDelivery {
  /** The id of the event. */
  eventId: string;
  /** The type of the event. */
  eventType: string;
  /** The time of the event. */
  eventCreatedAt: string;
  /** `pending`, `delivered`, `failed` or `cancelled`. */
  status: "pending" | "delivered" | "failed" | "cancelled";
  /** The number of failed attempts. */
  failedAttempts: number;
  /** The time of the next attempt. Null unless the delivery is pending. */
  nextAttemptAt: string | null;
  /** The HTTP status of the response. */
  httpStatus: number | null;
  /** The code of the last failure, or null. */
  errorCode: string | null;
  /** The time at which the delivery ended, or null while it is pending. */
  settledAt: string | null;
}

/** One attempt to deliver an event. `responseExcerpt`: the beginning of the response body, without secrets. */
export interface WebhookAttempt {
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The duration of the attempt in milliseconds. */
  durationMs: number;
  /** The HTTP status of the response. */
  httpStatus: number | null;
  /** The reason why there is no response, or null. */
  errorCode: string | null;
  /** The beginning of the response body, without secrets, or null. */
  responseExcerpt: string | null;
}

/** A delivery with its attempts, oldest first. */
export interface WebhookDeliveryDetails extends WebhookDelivery {
  /** The attempts, oldest first. */
  attempts: WebhookAttempt[];
}

export default resource<WebhookDeliveries>("webhookDeliveries")({
  acknowledge: {
    method: "POST",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}/acknowledge",
    takes: "body",
    returns: ["acknowledged"],
  },
  list: {
    method: "GET",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}/deliveries",
    takes: "query",
    items: "webhookDeliveries",
    paged: true,
    returns: ["eventId", "eventType", "eventCreatedAt"],
  },
  get: {
    method: "GET",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}/deliveries/{event_id}",
    returns: ["eventId", "eventType", "eventCreatedAt"],
  },
  retry: {
    method: "POST",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}/deliveries/{event_id}/retry",
    returns: ["eventId", "eventType", "eventCreatedAt"],
  },
  pull: {
    method: "GET",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}/pending",
    takes: "query",
    returns: ["messages"],
  },
  replay: {
    method: "POST",
    path: "/v1/webhook-endpoints/{webhook_endpoint_id}/replay",
    takes: "body",
    returns: ["queuedDeliveries"],
  },
});
