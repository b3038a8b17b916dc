/**
 * Integrations that your organization defines itself.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";
import type { Definition } from "../values.js";
import type { CatalogIntegration } from "./catalog.js";

export interface CustomIntegrations {
  /**
   * List the custom integrations of your organization.
   *
   * The API key needs the scope `read`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(options?: RequestOptions): Promise<CustomIntegration[]>;
  /**
   * Create an integration that only your organization can see. The slug must begin with `x-`.
   *
   * If the slug already exists, the response is 409. Most validation errors name a line of the request body.
   *
   * The API key needs the scope `admin`.
   *
   * @throws {Conflict} with the code `idempotency_key_in_use`, `conflict` or `integration_exists`.
   * @throws {InvalidInput} with the code `invalid_input` or `idempotency_key_reused`.
   */
  create(definition: Definition, options?: RequestOptions): Promise<CustomIntegration>;
  /**
   * Return a custom integration with its definition.
   *
   * The API key needs the scope `read`.
   *
   * @param slug The slug: the name of the integration in URLs and requests.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(slug: string, options?: RequestOptions): Promise<CustomIntegration>;
  /**
   * Create (201) or replace (200) the integration with this slug.
   *
   * If the integration now sends credentials to another host or in another way, its connections become `needs_reauth`.
   *
   * One Runtime deletes your OAuth client for the integration in three cases:
   *
   * - The client is not registered for a new host of the integration.
   * - The new definition makes a secret field of the client public.
   * - The integration no longer has the auth type `oauth2`.
   *
   * The API key needs the scope `admin`.
   *
   * @param slug The slug: the name of the integration in URLs and requests.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict` or `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  replace(slug: string, definition: Definition, options?: RequestOptions): Promise<CustomIntegration>;
  /**
   * Delete the integration and its OAuth client. The response has the integration as it last was.
   *
   * If the integration has connections, the response is 409 by default. With the parameter `deleteConnections`, One
   * Runtime deletes the connections, and revokes their tokens if the integration defines a revocation request.
   *
   * The API key needs the scope `admin`.
   *
   * @param slug The slug: the name of the integration in URLs and requests.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `integration_in_use` or `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  delete(
    slug: string,
    query?: {
      /** True also deletes the connections of the integration. Default: `false`. */
      deleteConnections?: boolean;
    },
    options?: RequestOptions,
  ): Promise<DeletedCustomIntegration>;
}

/** A custom integration. */
export interface CustomIntegration extends CatalogIntegration {
  /** True if your organization has enabled the integration. */
  enabled: boolean;
  /** The definition in the catalog's format. */
  definition: { [key: string]: unknown };
  /** Texts with steps that you have to take, and with ignored parts of your document. */
  warnings: string[];
  /** The number of connections that became `needs_reauth`. */
  invalidatedConnections: number;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time of the last change, as in RFC 3339. */
  updatedAt: string;
}

/** The number of tokens with each result of the revocation, of all deleted connections. */
export interface RevocationCounts {
  /** Tokens that the provider revoked. */
  revoked: number;
  /** Tokens that could not be revoked. One Runtime retries for 24 hours. */
  failed: number;
  /** Credentials that cannot be revoked, such as an API key. */
  notSupported: number;
}

/** The deleted custom integration as it last was, and the number of the deleted connections. */
export interface DeletedCustomIntegration extends CustomIntegration {
  /** The number of deleted connections. */
  deletedConnections: number;
  /** The number of tokens with each result of the revocation, of all connections. */
  revocationCounts: RevocationCounts;
}

export default resource<CustomIntegrations>("customIntegrations")({
  list: {
    method: "GET",
    path: "/v1/custom-integrations",
    items: "customIntegrations",
    returns: ["id", "slug", "name"],
  },
  create: {
    method: "POST",
    path: "/v1/custom-integrations",
    takes: "definition",
    creates: true,
    returns: ["id", "slug", "name"],
  },
  get: {
    method: "GET",
    path: "/v1/custom-integrations/{slug}",
    returns: ["id", "slug", "name"],
  },
  replace: {
    method: "PUT",
    path: "/v1/custom-integrations/{slug}",
    takes: "definition",
    returns: ["id", "slug", "name"],
  },
  delete: {
    method: "DELETE",
    path: "/v1/custom-integrations/{slug}",
    takes: "query",
    returns: ["id", "slug", "name"],
  },
});
