/**
 * The audit log of your organization.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { Event } from "./end-users.js";

export interface Events {
  /**
   * List the events of your organization, newest first.
   *
   * To follow the events, read them in ascending order: send `order: "asc"` first, and then the id of the last event as
   * `after`. In this order, you receive each event exactly once, even if a transaction stores an event late. If the log
   * has deleted the event of `after`, the response is 410: you can have missed events.
   *
   * One Runtime keeps events for 90 days. The operator can change this time.
   *
   * The API key needs the scope `read`.
   *
   * @throws {Gone} with the code `event_expired`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(
    query?: {
      /** Only events of this type. */
      type?: string | string[];
      /** Your own identifier of the end user. */
      endUserId?: string | string[];
      /** The id of the connection. */
      connectionId?: string | string[];
      /** The slug of the integration. */
      integrationSlug?: string | string[];
      /** Only events of this kind of actor. */
      actorType?: string | string[];
      /** Only events of the actor with this id. */
      actorId?: string | string[];
      /** The id of the request, as in the header `Request-Id`. The server's log contains this id. */
      requestId?: string;
      /** Only items at or after this time, as in RFC 3339. */
      since?: string;
      /** Only items before this time, as in RFC 3339. */
      until?: string;
      /** `desc`: newest first. `asc`: oldest first. */
      order?: "asc" | "desc";
      /** Only events after the event with this id, oldest first. */
      after?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<Event>;
  /**
   * Return an event of your organization.
   *
   * The API key needs the scope `read`.
   *
   * @param eventId The id of the event.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(eventId: string, options?: RequestOptions): Promise<Event>;
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
  get: {
    method: "GET",
    path: "/v1/events/{event_id}",
    returns: ["id", "type", "createdAt"],
  },
});
