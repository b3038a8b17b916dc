/** The audit log: types and operations. */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";

export interface Events {
  /**
   * Lists events, newest first. A filter with several values matches events that have one of the values. `since` and
   * `until` are times such as `2026-11-25T01:02:03Z`.
   *
   * To follow the events, use `order: "asc"` first, and then the id of the last event as `after`. `after` returns only
   * newer events, oldest first.
   */
  list(
    query?: {
      type?: string | string[];
      endUserId?: string | string[];
      connectionId?: string | string[];
      integrationSlug?: string | string[];
      actorType?: string | string[];
      actorId?: string | string[];
      requestId?: string;
      since?: string;
      until?: string;
      order?: "asc" | "desc";
      after?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<Event>;
  get(eventId: string, options?: RequestOptions): Promise<Event>;
}

export interface Event {
  id: string;
  type: string;
  createdAt: string;
  actor: Actor;
  address: string | null;
  endUserId: string | null;
  connectionId: string | null;
  data: { [key: string]: unknown };
  /** The id of the HTTP request that caused the event, as in the header `Request-Id`. Null if no request caused it. */
  requestId: string | null;
}

/** `type` is `api_key`, `end_user` or `system`. */
export interface Actor {
  type: string;
  id: string | null;
}

export default resource<Events>("events")({
  list: {
    method: "GET",
    path: "/v1/events",
    takes: "query",
    items: "events",
    paged: true,
    returns: ["id", "type", "createdAt"],
  },
  get: { method: "GET", path: "/v1/events/{event_id}", returns: ["id", "type", "createdAt"] },
});
