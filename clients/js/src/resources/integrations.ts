/** The integrations that an end user can connect: types and operations. */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";
import type { CatalogIntegration, CatalogQuery } from "./catalog.js";
import type { ConnectionSummary } from "./connections.js";

export type Expand = "connections";

export interface Integrations {
  /**
   * Lists the integrations that an end user can connect, with their status. The status `not_connected` is no reason to
   * delete data. Often, the end user only has to connect again.
   */
  list(
    query: { endUserId: string; status?: "connected" | "not_connected"; expand?: Expand | Expand[] } & CatalogQuery,
    options?: RequestOptions,
  ): Promise<Integration[]>;
}

export interface Integration extends CatalogIntegration {
  status: "connected" | "not_connected";
  /** Present only if the list was requested with `expand: "connections"`. */
  connections?: ConnectionSummary[];
}

export default resource<Integrations>("integrations")({
  list: {
    method: "GET",
    path: "/v1/integrations",
    takes: "query",
    items: "integrations",
    returns: ["id", "slug", "name", "status"],
    defaults: { logo: "url" },
  },
});
