/** Connected accounts: types and operations. */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { AuthType } from "./catalog.js";

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** An object of your own. The client does not change its keys. */
export type Metadata = { [key: string]: Json };

export type ConnectionStatus = "active" | "needs_reauth";

export interface Connections {
  /**
   * Lists connections, newest first. A filter with several values matches connections that have one of the values.
   * `since` and `until` select by the time of creation.
   */
  list(
    query?: {
      endUserId?: string | string[];
      integrationSlug?: string | string[];
      status?: ConnectionStatus | ConnectionStatus[];
      since?: string;
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<Connection>;
  /** Imports a credential that you have already. */
  create(input: NewConnection, options?: RequestOptions): Promise<Connection>;
  get(connectionId: string, options?: RequestOptions): Promise<Connection>;
  update(connectionId: string, input: ConnectionUpdate, options?: RequestOptions): Promise<Connection>;
  delete(connectionId: string, options?: RequestOptions): Promise<DeletedConnection>;
  /** Asks the provider whether the credential still works. */
  check(connectionId: string, options?: RequestOptions): Promise<ConnectionCheck>;
  refresh(connectionId: string, options?: RequestOptions): Promise<Connection>;
  /** The API key needs the scope `credentials:read`. */
  credentials(connectionId: string, options?: RequestOptions): Promise<Credentials>;
}

/** The newest error of a connection or a session. */
export interface ErrorNote {
  code: string;
  message: string;
  createdAt: string;
}

/** The account at the provider. `id` or `label` is null if the provider does not return this value. */
export interface Account {
  id: string | null;
  label: string | null;
}

export interface ConnectionSummary {
  id: string;
  name: string;
  status: ConnectionStatus;
  error: ErrorNote | null;
  account: Account;
  /** Values that are not secret, such as a subdomain. */
  params: { [name: string]: string };
  /** The base URL of the provider's API for this account, or null if the URL contains a part of the credential. */
  baseUrl: string | null;
  scopes: string[];
  missingScopes: string[];
  createdAt: string;
  updatedAt: string;
  lastUsedAt: string | null;
  /** When the access token expires. */
  tokenExpiresAt: string | null;
}

export interface Connection extends ConnectionSummary {
  integrationSlug: string;
  endUserId: string;
  authType: AuthType;
  metadata: Metadata;
}

export interface NewConnection {
  integrationSlug: string;
  endUserId: string;
  authType: AuthType;
  name?: string;
  /** The integration defines the keys, and the client does not change them. */
  params?: Record<string, string>;
  /** The integration defines the keys, and the client does not change them. */
  credentials?: Record<string, string>;
  metadata?: Metadata;
  check?: boolean;
  multiple?: boolean;
}

/**
 * Changes of a connection. An omitted property changes nothing. With `name: null`, the connection gets its automatic
 * name. Each key of `metadata` changes only this key, and a key with null is removed.
 */
export interface ConnectionUpdate {
  name?: string | null;
  metadata?: Metadata | null;
}

export interface ConnectionCheck {
  outcome: "accepted" | "refused" | "permission_missing" | "not_supported";
  /** Null if the integration has no check. */
  working: boolean | null;
  reason: string | null;
  /** The provider's name of the missing permission, if the integration defines the name. */
  missingPermission: string | null;
  connection: Connection;
}

export interface DeletedConnection {
  id: string;
  revocations: Revocation[];
}

export interface Credentials {
  connectionId: string;
  integrationSlug: string;
  authType: AuthType;
  params: Record<string, string>;
  credentials: Record<string, string>;
  /** When the access token expires. */
  tokenExpiresAt: string | null;
}

export interface Revocation {
  connectionId: string;
  token: "access_token" | "refresh_token" | null;
  outcome: "revoked" | "failed" | "not_supported";
  reason: string | null;
}

export interface Disconnection {
  status: "disconnected" | "not_found";
  integrationSlug: string;
  endUserId: string;
  deletedCount: number;
  revocations: Revocation[];
}

const CONNECTION = ["id", "integrationSlug", "endUserId", "status"] as const;

export default resource<Connections>("connections")({
  list: {
    method: "GET",
    path: "/v1/connections",
    takes: "query",
    items: "connections",
    paged: true,
    returns: CONNECTION,
  },
  create: { method: "POST", path: "/v1/connections", takes: "body", creates: true, returns: CONNECTION },
  get: { method: "GET", path: "/v1/connections/{connection_id}", returns: CONNECTION },
  update: { method: "PATCH", path: "/v1/connections/{connection_id}", takes: "body", returns: CONNECTION },
  delete: { method: "DELETE", path: "/v1/connections/{connection_id}", returns: ["id", "revocations"] },
  check: { method: "POST", path: "/v1/connections/{connection_id}/check", returns: ["outcome", "connection"] },
  refresh: { method: "POST", path: "/v1/connections/{connection_id}/refresh", returns: CONNECTION },
  credentials: {
    method: "GET",
    path: "/v1/connections/{connection_id}/credentials",
    returns: ["connectionId", "authType", "credentials"],
    secrets: ["credentials"],
  },
});
