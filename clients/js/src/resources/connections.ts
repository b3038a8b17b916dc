/**
 * Connected accounts of end users, and their credentials.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { Metadata } from "../values.js";
import type { AuthType } from "./catalog.js";

export type ConnectionStatus = "active" | "needs_reauth";

export interface Connections {
  /**
   * List the connections of your organization in pages, newest first.
   *
   * The API key needs the scope `read`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(
    query?: {
      /** Your own identifier of the end user. */
      endUserId?: string | string[];
      /** The slug of the integration. */
      integrationSlug?: string | string[];
      /** Only connections with this status. */
      status?: ConnectionStatus | ConnectionStatus[];
      /** Only items at or after this time, as in RFC 3339. */
      since?: string;
      /** Only items before this time, as in RFC 3339. */
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<Connection>;
  /**
   * Store a credential for an end user.
   *
   * One Runtime applies the first rule that fits:
   *
   * 1. `connectionId` names a connection: the new credential replaces the credential of this connection (200).
   * 2. The end user has a connection to the credential's account: the new credential replaces the credential of this
   *    connection (200).
   * 3. `multiple` is true: One Runtime creates a connection (201).
   * 4. The end user has no connection to the integration: One Runtime creates a connection (201).
   * 5. The end user has one connection to the integration: the new credential replaces its credential (200). But if the
   *    provider reports that the new account is a different one, the answer is 409 `account_mismatch`.
   * 6. The end user has several connections to the integration: the answer is 409 `severalConnections`, and
   *    `connections` lists them.
   *
   * After an error 409, send `connectionId` to replace the credential of this connection, or `multiple` to add one.
   *
   * The API key needs the scope `connect`.
   *
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `idempotency_key_in_use`, `account_mismatch`, `several_connections`,
   * `client_refused`, `oauth_client_missing` or `unconfirmed_copy`.
   * @throws {InvalidInput} with the code `invalid_input`, `idempotency_key_reused`, `credentials_refused`,
   * `permission_missing`, `target_refused`, `host_not_registered` or `integration_disabled`.
   * @throws {ProviderUnavailable} with the code `provider_unavailable`.
   */
  create(input: NewConnection, options?: RequestOptions): Promise<Connection>;
  /**
   * Return a connection of your organization.
   *
   * The API key needs the scope `read`.
   *
   * @param connectionId The id of the connection.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(connectionId: string, options?: RequestOptions): Promise<Connection>;
  /**
   * Change the name or the metadata of a connection, or make it the default connection.
   *
   * The body is a JSON Merge Patch (RFC 7396). A request that changes nothing writes no event, and `updatedAt` stays
   * the same.
   *
   * The API key needs the scope `connect`.
   *
   * @param connectionId The id of the connection.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  update(connectionId: string, input: ConnectionUpdate, options?: RequestOptions): Promise<Connection>;
  /**
   * Delete a connection and its credentials immediately. The response has the connection as it last was.
   *
   * `revocations` has the result of revoking each token.
   *
   * The API key needs the scope `connect`.
   *
   * @param connectionId The id of the connection.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  delete(connectionId: string, options?: RequestOptions): Promise<DeletedConnection>;
  /**
   * Check the credential of a connection at the provider.
   *
   * - If the provider refuses an access token, One Runtime refreshes the tokens and repeats the check once.
   * - If the provider refuses the credential in the last check, the connection becomes `needs_reauth`.
   * - If the credential is valid but lacks a permission, the connection stays active. Its `error` names the permission.
   * - If the provider gives no usable response, One Runtime answers with 502. The connection stays unchanged.
   *
   * The API key needs the scope `connect`.
   *
   * @param connectionId The id of the connection.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `client_refused`, `oauth_client_missing` or `unconfirmed_copy`.
   * @throws {InvalidInput} with the code `invalid_input`, `target_refused`, `host_not_registered` or
   * `integration_disabled`.
   * @throws {ProviderUnavailable} with the code `provider_unavailable`.
   */
  check(connectionId: string, options?: RequestOptions): Promise<ConnectionCheck>;
  /**
   * Return the credentials of a connection. If a refresh is due, One Runtime first refreshes the tokens.
   *
   * Each read adds the event `connection.credentials_read` to the audit log.
   *
   * The API key needs the scope `credentials:read`.
   *
   * @param connectionId The id of the connection.
   * @throws {NotFound} with the code `not_found`.
   * @throws {ConnectRequired} with the code `needs_reauth`.
   * @throws {Conflict} with the code `client_refused`, `oauth_client_missing` or `unconfirmed_copy`.
   * @throws {InvalidInput} with the code `invalid_input`, `target_refused`, `host_not_registered` or
   * `integration_disabled`.
   * @throws {ProviderUnavailable} with the code `provider_unavailable`.
   */
  credentials(connectionId: string, options?: RequestOptions): Promise<Credentials>;
  /**
   * Refresh the tokens at the provider, even if the tokens are still valid. API keys and passwords stay unchanged.
   *
   * The API key needs the scope `connect`.
   *
   * @param connectionId The id of the connection.
   * @throws {NotFound} with the code `not_found`.
   * @throws {ConnectRequired} with the code `needs_reauth`.
   * @throws {Conflict} with the code `client_refused`, `oauth_client_missing` or `unconfirmed_copy`.
   * @throws {InvalidInput} with the code `invalid_input`, `target_refused`, `host_not_registered` or
   * `integration_disabled`.
   * @throws {ProviderUnavailable} with the code `provider_unavailable`.
   */
  refresh(connectionId: string, options?: RequestOptions): Promise<Connection>;
}

/**
 * A credential to import. The fields of `credentials` depend on the auth type.
 *
 * - `api_key`: the fields that the integration defines.
 * - `basic`: `username` and `password`.
 * - `none`: no fields.
 * - `oauth2`: `access_token`. The fields `refresh_token`, `expires_at` (RFC 3339) and `scope` are optional. The OAuth
 *   client of the tokens must be the client that One Runtime uses for the integration. If each end user registers a
 *   client, `credentials` must also contain `client_id` and `client_secret`.
 * - `client_credentials`: `client_id` and `client_secret`.
 *
 * If `check` is true, the provider must accept the credential before One Runtime stores the credential. One Runtime
 * always checks a credential that it exchanges for tokens, such as `client_credentials`.
 */
export interface NewConnection {
  /** The slug of the integration. */
  integrationSlug: string;
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The auth type: the way to authenticate with the provider. */
  authType: AuthType;
  /** A name for the connection. Default: the account's name. */
  name?: string;
  /** Values that are not secret, such as a subdomain. The client does not change the keys. */
  params?: { [key: string]: string };
  /** The credential. The keys depend on the auth type. The client does not change the keys. */
  credentials?: { [key: string]: string };
  /** An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not interpret it. */
  metadata?: Metadata;
  /** True verifies the credential with the provider, and stores only an accepted credential. Default: `true`. */
  check?: boolean;
  /** The id of the connection whose credential to replace. */
  connectionId?: string;
  /** True gives a new account its own connection. False replaces the present account. Default: `false`. */
  multiple?: boolean;
}

/** The fields to change, as a JSON Merge Patch (RFC 7396). An omitted field keeps its value. */
export interface ConnectionUpdate {
  /** The new name of the connection. */
  name?: string | null;
  /** True makes this the end user's default connection to the integration. */
  isDefault?: boolean | null;
  /**
   * The changes of the metadata. Each key changes only this key, and a key with null is removed. The client does not
   * change the keys.
   */
  metadata?: Metadata | null;
}

/** Texts for people: what happened, and what to do. */
export interface Explanation {
  /** What happened. */
  message: string;
  /** What to do. */
  action: string;
}

/** The newest error of a connection or a session. `explanation`: null for a code of a later version. */
export interface ErrorNote {
  /** The code of the error. Codes are stable. */
  code: string;
  /** The error, as a text for people. */
  message: string;
  /** The time of the error, as in RFC 3339. */
  createdAt: string;
  /** Texts for people about the code: what happened, and what to do. */
  explanation: Explanation | null;
}

/** The account at the provider. A field is null if the provider does not report the value. */
export interface Account {
  /** The provider's id of the account, or null if it is unknown. */
  id: string | null;
  /** The name of the account, or null if it is unknown. */
  label: string | null;
}

/** A connection in the list of integrations. */
export interface ConnectionSummary {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The name of the connection. */
  name: string;
  /** True for the end user's [default connection](api.md#default-connections) to the integration. */
  isDefault: boolean;
  /** `active`, or `needs_reauth` if the end user has to connect again. */
  status: ConnectionStatus;
  /** The newest error, or null. */
  error: ErrorNote | null;
  /** The account at the provider. */
  account: Account;
  /** Values that are not secret, such as a subdomain. */
  params: { [key: string]: string };
  /** The base URL of the provider's API for this account. Null if the URL contains a part of the credential. */
  baseUrl: string | null;
  /** The granted scopes. */
  scopes: string[];
  /** The scopes that One Runtime requested and the provider did not grant. */
  missingScopes: string[];
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time of the last change, as in RFC 3339. */
  updatedAt: string;
  /** The time of the last call through the proxy, or null. */
  lastUsedAt: string | null;
  /** The time at which the access token expires, or null. */
  tokenExpiresAt: string | null;
}

/** A connected account of an end user, without the credentials. */
export interface Connection extends ConnectionSummary {
  /** The slug of the integration. */
  integrationSlug: string;
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The auth type: the way to authenticate with the provider. */
  authType: AuthType;
  /** An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not interpret it. */
  metadata: Metadata;
}

/** The result of checking a credential. `working` is null if no check is possible. */
export interface ConnectionCheck {
  /** The result. */
  outcome: "accepted" | "refused" | "permission_missing" | "not_supported";
  /** True if the credential works. Null if no check is possible. */
  working: boolean | null;
  /** The reason, as a text for people, or null. */
  reason: string | null;
  /** The provider's name of the missing permission, or null. */
  missingPermission: string | null;
  /** The connection after the check. */
  connection: Connection;
}

/**
 * Valid credentials for requests to the provider. The fields of `credentials` depend on the auth type.
 *
 * - `api_key`: the fields that the integration defines.
 * - `basic`: `username` and `password`.
 * - `none`: no fields.
 * - `oauth2`: `access_token`.
 * - `client_credentials`: `access_token`.
 *
 * One Runtime never returns a refresh token or the secret of an OAuth client.
 */
export interface Credentials {
  /** The id of the connection. */
  connectionId: string;
  /** The slug of the integration. */
  integrationSlug: string;
  /** The auth type: the way to authenticate with the provider. */
  authType: AuthType;
  /** Values that are not secret, such as a subdomain. */
  params: { [key: string]: string };
  /** The credential. The keys depend on the auth type. */
  credentials: { [key: string]: string };
  /** The time at which the access token expires, or null. */
  tokenExpiresAt: string | null;
}

/**
 * The result of revoking one token at the provider.
 *
 * - `revoked`: the provider revoked the token.
 * - `not_supported`: One Runtime cannot revoke the credential. For example, the provider has no revocation endpoint, or
 *   the credential is an API key.
 * - `failed`: the revocation failed, and `reason` says why. One Runtime retries a temporary failure for 24 hours.
 */
export interface Revocation {
  /** The id of the connection. */
  connectionId: string;
  /** The revoked token. Null for a credential that is not a token. */
  token: "access_token" | "refresh_token" | null;
  /** The result of the revocation at the provider. */
  outcome: "revoked" | "failed" | "not_supported";
  /** The reason, as a text for people, or null. */
  reason: string | null;
}

/** The deleted connection as it last was, and the result of revoking each of its tokens. */
export interface DeletedConnection extends Connection {
  /** The result of revoking each token at the provider. */
  revocations: Revocation[];
}

/**
 * The result of a disconnection.
 *
 * `status` is `not_found` if the end user has no connection to the integration. An unknown end user or an unknown
 * integration also gives `not_found`.
 */
export interface Disconnection {
  /** `disconnected`, or `not_found` if the end user had no connection to the integration. */
  status: "disconnected" | "not_found";
  /** The slug of the integration. */
  integrationSlug: string;
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The number of deleted connections. */
  deletedCount: number;
  /** The result of revoking each token at the provider. */
  revocations: Revocation[];
}

export default resource<Connections>("connections")({
  list: {
    method: "GET",
    path: "/v1/connections",
    takes: "query",
    items: "connections",
    paged: true,
    returns: ["id", "name", "isDefault"],
  },
  create: {
    method: "POST",
    path: "/v1/connections",
    takes: "body",
    creates: true,
    returns: ["id", "name", "isDefault"],
  },
  get: {
    method: "GET",
    path: "/v1/connections/{connection_id}",
    returns: ["id", "name", "isDefault"],
  },
  update: {
    method: "PATCH",
    path: "/v1/connections/{connection_id}",
    takes: "body",
    returns: ["id", "name", "isDefault"],
  },
  delete: {
    method: "DELETE",
    path: "/v1/connections/{connection_id}",
    returns: ["id", "name", "isDefault"],
  },
  check: {
    method: "POST",
    path: "/v1/connections/{connection_id}/check",
    returns: ["outcome", "connection"],
  },
  credentials: {
    method: "GET",
    path: "/v1/connections/{connection_id}/credentials",
    returns: ["connectionId", "integrationSlug", "authType", "credentials"],
    secrets: ["credentials"],
  },
  refresh: {
    method: "POST",
    path: "/v1/connections/{connection_id}/refresh",
    returns: ["id", "name", "isDefault"],
  },
});
