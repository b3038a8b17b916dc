/** The integrations that an end user can connect: types and operations. */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";
import type { CatalogIntegration, CatalogQuery, Logo } from "./catalog.js";
import type { ConnectionSummary } from "./connections.js";

export type Expand = "connections";

export interface Integrations {
  /**
   * Lists the integrations that an end user can connect, with their status. The status `not_connected` is no reason to
   * delete data. Often, the end user only has to connect again.
   *
   * `include: "unavailable"` also lists the integrations that the end user cannot connect, each with the reason.
   */
  list(
    query: {
      endUserId: string;
      status?: "connected" | "not_connected";
      expand?: Expand | Expand[];
      include?: "unavailable";
    } & CatalogQuery,
    options?: RequestOptions,
  ): Promise<Integration[]>;
  /** Returns one integration, also if the end user cannot connect it. Then `unavailable` has the reason. */
  get(
    integrationSlug: string,
    query: { endUserId: string; logo?: Logo; expand?: Expand | Expand[] },
    options?: RequestOptions,
  ): Promise<Integration>;
}

export interface Integration extends CatalogIntegration {
  status: "connected" | "not_connected";
  /** Present only if you requested the integration with `expand: "connections"`. */
  connections?: ConnectionSummary[];
  /** Present only if no end user of your organization can connect the integration. */
  unavailable?: Unavailability;
}

/** The reason why no end user of your organization can connect an integration. `action`: what you have to do. */
export interface Unavailability {
  code: "disabled_by_operator" | "not_offered" | "oauth_client_missing";
  action: string;
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
  get: {
    method: "GET",
    path: "/v1/integrations/{integration_slug}",
    takes: "query",
    returns: ["id", "slug", "name", "status"],
    defaults: { logo: "url" },
  },
});
