/** The API keys of your organization: types and operations. */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";

export type KeyScope = "read" | "connect" | "use" | "credentials:read" | "admin";

export interface ApiKeys {
  /** Lists the API keys of your organization, newest first. The list includes revoked keys. */
  list(query?: Paging, options?: RequestOptions): Pages<ApiKey>;
  /** Creates an API key. The client's own key must have each of the scopes. Only this answer contains `apiKey`. */
  create(input: NewApiKey, options?: RequestOptions): Promise<CreatedApiKey>;
  /** Revokes an API key. A second revocation changes nothing. */
  revoke(apiKeyId: string, options?: RequestOptions): Promise<ApiKey>;
  /** Returns the API key of the client, without its secret, and the organization of the key. */
  me(options?: RequestOptions): Promise<Me>;
}

export interface ApiKey {
  id: string;
  /** The beginning of the key. */
  prefix: string;
  name: string;
  scopes: string[];
  createdAt: string;
  revokedAt: string | null;
}

export interface NewApiKey {
  name: string;
  /** Default: `read`, `connect` and `use`. */
  scopes?: KeyScope[];
}

export interface CreatedApiKey extends ApiKey {
  /** The key itself. Do not log this value. */
  apiKey: string;
}

export interface Me extends ApiKey {
  organization: OrganizationName;
}

/** The organization of an API key. */
export interface OrganizationName {
  id: string;
  displayName: string;
}

const API_KEY = ["id", "prefix", "scopes"] as const;

export default resource<ApiKeys>("apiKeys")({
  list: { method: "GET", path: "/v1/api-keys", takes: "query", items: "apiKeys", paged: true, returns: API_KEY },
  create: {
    method: "POST",
    path: "/v1/api-keys",
    takes: "body",
    creates: true,
    returns: [...API_KEY, "apiKey"],
    secrets: ["apiKey"],
  },
  revoke: { method: "DELETE", path: "/v1/api-keys/{api_key_id}", returns: API_KEY },
  me: { method: "GET", path: "/v1/me", returns: [...API_KEY, "organization"] },
});
