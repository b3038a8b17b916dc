/** Your organization's own integrations: types and operations. */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";
import type { CatalogIntegration } from "./catalog.js";

/** An entry in the catalog's format or an OpenAPI document, as an object or as text in YAML or JSON. */
export type Definition = { [key: string]: unknown } | string;

export interface CustomIntegrations {
  list(options?: RequestOptions): Promise<CustomIntegration[]>;
  create(definition: Definition, options?: RequestOptions): Promise<CustomIntegration>;
  get(slug: string, options?: RequestOptions): Promise<CustomIntegration>;
  replace(slug: string, definition: Definition, options?: RequestOptions): Promise<CustomIntegration>;
  delete(slug: string, query?: { deleteConnections?: boolean }, options?: RequestOptions): Promise<void>;
}

export interface CustomIntegration extends CatalogIntegration {
  enabled: boolean;
  definition: { [key: string]: unknown };
  warnings: string[];
  /**
   * Number of connections that end users have to make again, because the new definition sends the credentials to
   * another host or in another way.
   */
  invalidatedConnections: number;
  createdAt: string;
  updatedAt: string;
}

const CUSTOM_INTEGRATION = ["id", "slug", "definition"] as const;

export default resource<CustomIntegrations>("customIntegrations")({
  list: { method: "GET", path: "/v1/custom-integrations", items: "customIntegrations", returns: CUSTOM_INTEGRATION },
  create: {
    method: "POST",
    path: "/v1/custom-integrations",
    takes: "definition",
    creates: true,
    returns: CUSTOM_INTEGRATION,
  },
  get: { method: "GET", path: "/v1/custom-integrations/{slug}", returns: CUSTOM_INTEGRATION },
  replace: {
    method: "PUT",
    path: "/v1/custom-integrations/{slug}",
    takes: "definition",
    returns: CUSTOM_INTEGRATION,
  },
  delete: { method: "DELETE", path: "/v1/custom-integrations/{slug}", takes: "query" },
});
