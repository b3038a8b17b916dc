/**
 * The integrations that an end user can connect.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";
import type { CatalogIntegration, CatalogQuery, Logo } from "./catalog.js";
import type { ConnectionSummary } from "./connections.js";

export type Expand = "connections";

export interface Integrations {
  /**
   * The integrations that an end user can connect or has connected. The response is the whole list, ordered by name.
   * With `search`, the best match is first.
   *
   * The API key needs the scope `read`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(
    query: {
      /** Your own identifier of the end user. */
      endUserId: string;
      /** Only integrations with this status. */
      status?: "connected" | "not_connected";
      /** Add the end user's connections to each integration. */
      expand?: Expand | Expand[];
      /** List also the integrations that the end user cannot connect. Their field `unavailable` has the reason. */
      include?: "unavailable";
    } & CatalogQuery,
    options?: RequestOptions,
  ): Promise<Integration[]>;
  /**
   * Return one integration with the status for an end user, also if the end user cannot connect the integration.
   *
   * If the end user cannot connect the integration, `unavailable` has the reason.
   *
   * The API key needs the scope `read`.
   *
   * @param integrationSlug The slug of the integration.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(
    integrationSlug: string,
    query: {
      /** Your own identifier of the end user. */
      endUserId: string;
      /** The form of `logoUrl`. `inline`: a data URI. `url`: a URL on this server. `none`: null. Default: `"url"`. */
      logo?: Logo;
      /** `connections` adds the end user's connections to each integration. */
      expand?: Expand | Expand[];
    },
    options?: RequestOptions,
  ): Promise<Integration>;
}

/**
 * The reason why no end user of your organization can connect an integration. `action`: what you have to do.
 *
 * - `disabled_by_operator`: the operator disabled the integration for all organizations.
 * - `not_offered`: your organization does not offer the integration.
 * - `oauth_client_missing`: the integration needs an OAuth client, and there is none.
 */
export interface Unavailability {
  /** The reason for programs. */
  code: "disabled_by_operator" | "not_offered" | "oauth_client_missing";
  /** What you have to do, in one sentence. */
  action: string;
}

/**
 * An integration with the end user's status.
 *
 * The status is also `not_connected` if the end user has to connect again. So do not delete the end user's data when
 * the status becomes `not_connected`.
 *
 * Only an integration that no end user can connect has the field `unavailable`.
 */
export interface Integration extends CatalogIntegration {
  /**
   * `connected` if the end user has an active connection. Otherwise, or if the end user has to connect again,
   * `not_connected`.
   */
  status: "connected" | "not_connected";
  /** The reason why no end user of your organization can connect the integration. Absent if end users can connect. */
  unavailable?: Unavailability;
  /** The end user's connections. Absent without `expand: "connections"`. */
  connections?: ConnectionSummary[];
}

export default resource<Integrations>("integrations")({
  list: {
    method: "GET",
    path: "/v1/integrations",
    takes: "query",
    items: "integrations",
    returns: ["id", "slug", "name"],
    defaults: { logo: "url" },
  },
  get: {
    method: "GET",
    path: "/v1/integrations/{integration_slug}",
    takes: "query",
    returns: ["id", "slug", "name"],
    defaults: { logo: "url" },
  },
});
