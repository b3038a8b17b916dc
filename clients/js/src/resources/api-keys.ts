/**
 * The API keys of your organization, and the key of the request.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";

export type KeyScope = "read" | "connect" | "use" | "credentials:read" | "admin";

export interface ApiKeys {
  /**
   * List the API keys of your organization, newest first. The response contains no secret.
   *
   * The API key needs the scope `admin`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(query?: Paging, options?: RequestOptions): Pages<ApiKey>;
  /**
   * Create an API key of your organization. Only this response contains the key.
   *
   * A key grants only scopes that it has itself. Otherwise, the response is 422.
   *
   * The API key needs the scope `admin`.
   *
   * @throws {Conflict} with the code `idempotency_key_in_use`.
   * @throws {InvalidInput} with the code `invalid_input` or `idempotency_key_reused`.
   */
  create(input: NewApiKey, options?: RequestOptions): Promise<CreatedApiKey>;
  /**
   * Return an API key of your organization, without its secret. The key can be revoked.
   *
   * The API key needs the scope `admin`.
   *
   * @param apiKeyId The id of the API key.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(apiKeyId: string, options?: RequestOptions): Promise<ApiKey>;
  /**
   * Revoke an API key of your organization. One Runtime refuses every later request with the key.
   *
   * A second revocation changes nothing. You can also revoke the key of the request. If no other active key has the
   * scope `admin`, the response is 409, because your organization could not create further keys over the API.
   *
   * The API key needs the scope `admin`.
   *
   * @param apiKeyId The id of the API key.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict` or `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  revoke(apiKeyId: string, options?: RequestOptions): Promise<ApiKey>;
  /**
   * Return the API key that you sent, without its secret, and the organization of the key.
   *
   * The API key can have any scope.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  me(options?: RequestOptions): Promise<Me>;
}

/** The name and the scopes of the key. The key of the request must have every scope that it grants. */
export interface NewApiKey {
  /** Your name for the key, such as the program that uses it. */
  name: string;
  /** The scopes of the new key. The key of the request must have all of them. Default: `read`, `connect`, `use`. */
  scopes?: KeyScope[];
}

/**
 * An API key, without its secret. `prefix`: the beginning of the key.
 *
 * `lastUsedAt`: the time of the last request with the key. One Runtime updates the time at most every 10 minutes.
 */
export interface ApiKey {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The beginning of the key. */
  prefix: string;
  /** The name. */
  name: string;
  /** The scopes of the key: the operations that the key permits. */
  scopes: string[];
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /**
   * The time of the last request with the key, as in RFC 3339. One Runtime updates the time at most every 10 minutes.
   * Null for an unused key.
   */
  lastUsedAt: string | null;
  /** The time of the revocation, as in RFC 3339. Null for an active key. */
  revokedAt: string | null;
}

/** A new API key. Only this response contains `apiKey`, the key itself. Do not log this value. */
export interface CreatedApiKey extends ApiKey {
  /** The key itself. No other response contains the key. Do not log this value. */
  apiKey: string;
}

/** The organization of an API key. */
export interface OrganizationName {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The name that end users see. */
  displayName: string;
}

/** The API key of the request, and its organization. */
export interface Me extends ApiKey {
  /** The organization of the key. */
  organization: OrganizationName;
}

export default resource<ApiKeys>("apiKeys")({
  list: {
    method: "GET",
    path: "/v1/api-keys",
    takes: "query",
    items: "apiKeys",
    paged: true,
    returns: ["id", "prefix", "name"],
  },
  create: {
    method: "POST",
    path: "/v1/api-keys",
    takes: "body",
    creates: true,
    returns: ["id", "prefix", "name", "apiKey"],
    secrets: ["apiKey"],
  },
  get: {
    method: "GET",
    path: "/v1/api-keys/{api_key_id}",
    returns: ["id", "prefix", "name"],
  },
  revoke: {
    method: "DELETE",
    path: "/v1/api-keys/{api_key_id}",
    returns: ["id", "prefix", "name"],
  },
  me: {
    method: "GET",
    path: "/v1/me",
    returns: ["id", "prefix", "name"],
  },
});
