/** Your OAuth clients: types and operations. */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export interface OAuthClients {
  list(options?: RequestOptions): Promise<OAuthClient[]>;
  get(integrationSlug: string, options?: RequestOptions): Promise<OAuthClient>;
  replace(integrationSlug: string, input: NewOAuthClient, options?: RequestOptions): Promise<OAuthClient>;
  delete(integrationSlug: string, options?: RequestOptions): Promise<void>;
}

export interface NewOAuthClient {
  clientId: string;
  /** Omit `clientSecret` to keep the stored secret of the same `clientId`. */
  clientSecret?: string;
  scopes?: string[];
  hosts?: string[];
  /** The integration defines the keys, and the client does not change them. */
  fields?: Record<string, string>;
}

export interface OAuthClient {
  integrationSlug: string;
  clientId: string;
  clientSecretLastFour: string | null;
  scopes: string[] | null;
  hosts: string[];
  fields: string[];
  /** The redirect URI to register with the provider. */
  redirectUrl: string;
  createdAt: string;
  updatedAt: string;
}

const OAUTH_CLIENT = ["integrationSlug", "clientId"] as const;

export default resource<OAuthClients>("oauthClients")({
  list: { method: "GET", path: "/v1/oauth-clients", items: "oauthClients", returns: OAUTH_CLIENT },
  get: { method: "GET", path: "/v1/integrations/{integration_slug}/oauth-client", returns: OAUTH_CLIENT },
  replace: {
    method: "PUT",
    path: "/v1/integrations/{integration_slug}/oauth-client",
    takes: "body",
    returns: OAUTH_CLIENT,
  },
  delete: { method: "DELETE", path: "/v1/integrations/{integration_slug}/oauth-client" },
});
