/** The audit log: types and operations. */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";

export interface Events {
  /** Lists events, newest first. `since` and `until` are times such as `2026-11-25T01:02:03Z`. */
  list(
    query?: {
      type?: string;
      endUserId?: string;
      connectionId?: string;
      integrationSlug?: string;
      actorType?: string;
      actorId?: string;
      since?: string;
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<Event>;
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
});
