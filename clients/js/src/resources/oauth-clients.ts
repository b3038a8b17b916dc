/**
 * The OAuth clients that your organization has registered with providers.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export interface OAuthClients {
  /**
   * Return your organization's OAuth client for an integration. If there is no client, the response is 404.
   *
   * The API key needs the scope `admin`.
   *
   * @param integrationSlug The slug of the integration.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(integrationSlug: string, options?: RequestOptions): Promise<OAuthClient>;
  /**
   * Register your own OAuth client for new connections to an integration.
   *
   * If the `clientId` stays the same, existing connections use the new secret. If the `clientId` changes, existing
   * connections keep the old client until the end user connects again.
   *
   * The API key needs the scope `admin`.
   *
   * @param integrationSlug The slug of the integration.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input` or `host_not_registered`.
   */
  replace(integrationSlug: string, input: NewOAuthClient, options?: RequestOptions): Promise<OAuthClient>;
  /**
   * Delete your OAuth client for an integration, and return it. New connections cannot use a deleted client.
   *
   * Existing connections continue to refresh their tokens with the client.
   *
   * The API key needs the scope `admin`.
   *
   * @param integrationSlug The slug of the integration.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  delete(integrationSlug: string, options?: RequestOptions): Promise<OAuthClient>;
  /**
   * List the OAuth clients that your organization has registered. The list omits clients of the operator.
   *
   * The API key needs the scope `admin`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(options?: RequestOptions): Promise<OAuthClient[]>;
}

/** An OAuth client from the provider's console. */
export interface NewOAuthClient {
  /** The id of the OAuth client at the provider. */
  clientId: string;
  /** The secret of the OAuth client. You can omit the secret to keep the stored secret. */
  clientSecret?: string;
  /** The scopes to request. Default: the integration's scopes. */
  scopes?: string[];
  /** The provider's hosts that can receive the secret. */
  hosts?: string[];
  /**
   * More values that the integration needs for an OAuth client, such as a developer token. The client does not change
   * the keys.
   */
  fields?: { [key: string]: string };
}

/**
 * An OAuth client, with the last four characters of its secret.
 *
 * `fields`: the names of the additional registered values. `redirectUrl`: the URL to register with the provider.
 */
export interface OAuthClient {
  /** The slug of the integration. */
  integrationSlug: string;
  /** The id of the OAuth client at the provider. */
  clientId: string;
  /** The last four characters of the secret. Null for a short secret. */
  clientSecretLastFour: string | null;
  /** The scopes to request. Null means the integration's scopes. */
  scopes: string[] | null;
  /** The provider's hosts that can receive the secret. */
  hosts: string[];
  /** The names of the additional registered values, without the values. */
  fields: string[];
  /** The redirect URL to register with the provider. */
  redirectUrl: string;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time of the last change, as in RFC 3339. */
  updatedAt: string;
}

export default resource<OAuthClients>("oauthClients")({
  get: {
    method: "GET",
    path: "/v1/integrations/{integration_slug}/oauth-client",
    returns: ["integrationSlug", "clientId", "hosts"],
  },
  replace: {
    method: "PUT",
    path: "/v1/integrations/{integration_slug}/oauth-client",
    takes: "body",
    returns: ["integrationSlug", "clientId", "hosts"],
  },
  delete: {
    method: "DELETE",
    path: "/v1/integrations/{integration_slug}/oauth-client",
    returns: ["integrationSlug", "clientId", "hosts"],
  },
  list: {
    method: "GET",
    path: "/v1/oauth-clients",
    items: "oauthClients",
    returns: ["integrationSlug", "clientId", "hosts"],
  },
});
