/**
 * Tokens with which an agent acts for one end user.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";

export interface EndUserTokens {
  /**
   * Create a token with which an agent acts for one end user at `/v1/mcp`. Only this response contains the token.
   *
   * The token can use the end user's connections. It cannot read credentials, create tokens or act for another end
   * user.
   *
   * The API key needs the scope `use`.
   *
   * @throws {Conflict} with the code `idempotency_key_in_use`.
   * @throws {InvalidInput} with the code `invalid_input` or `idempotency_key_reused`.
   */
  create(input: NewEndUserToken, options?: RequestOptions): Promise<CreatedEndUserToken>;
  /**
   * List the end-user tokens of your organization, newest first. The response contains no secret.
   *
   * One Runtime deletes a token 30 days after its expiry.
   *
   * The API key needs the scope `read`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(
    query?: {
      /** Your own identifier of the end user. */
      endUserId?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<EndUserToken>;
  /**
   * Return an end-user token of your organization, without its secret. The token can be revoked or expired.
   *
   * The API key needs the scope `read`.
   *
   * @param endUserTokenId The id of the end-user token.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(endUserTokenId: string, options?: RequestOptions): Promise<EndUserToken>;
  /**
   * Revoke an end-user token. One Runtime refuses every later request with the token.
   *
   * A second revocation changes nothing.
   *
   * The API key needs the scope `use`.
   *
   * @param endUserTokenId The id of the end-user token.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  revoke(endUserTokenId: string, options?: RequestOptions): Promise<EndUserToken>;
}

/** The end user, and the limits of the agent. The limits of your organization apply too. */
export interface NewEndUserToken {
  /** `read`: only reading calls. `ask`: also approved calls. `write`: all calls. Default: `"read"`. */
  access?: "read" | "ask" | "write";
  /** The slugs that the agent can use. Null: all integrations. */
  integrations?: string[];
  /** The hosts that the agent can call. Null: all hosts of the integrations. */
  hosts?: string[];
  /** The HTTP methods that the agent can use. Null: all methods. */
  methods?: ("GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE")[];
  /** The number of calls that one program of the agent can make. Default: `300`. */
  callsPerRun?: number;
  /** The place that accepts the token. `agent`: `/v1/mcp`. Default: `"agent"`. */
  audience?: "agent";
  /** Your own identifier of the end user. */
  endUserId: string;
  /** Your name for the agent, or null. */
  name?: string;
  /** The lifetime of the token in seconds. Default: `3600`. */
  expiresIn?: number;
}

/**
 * An end-user token, without its secret. `prefix`: the beginning of the token.
 *
 * `lastUsedAt`: the time of the last request with the token. One Runtime updates the time at most every 10 minutes.
 *
 * `clientId`: the address that identifies the agent to which the end user gave the token, or null for a token that your
 * backend created. `refreshExpiresAt`: the time until which the agent can renew the token. A renewal changes `prefix`
 * and `expiresAt`. A revocation also ends the renewal.
 */
export interface EndUserToken {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The place that accepts the token. `agent`: `/v1/mcp`. */
  audience: "agent";
  /** Your own identifier of the end user. */
  endUserId: string;
  /** Your name for the agent, or null. */
  name: string | null;
  /** The beginning of the token. */
  prefix: string;
  /** `read`: only reading calls. `ask`: also approved calls. `write`: all calls. */
  access: "read" | "ask" | "write";
  /** The slugs that the agent can use. Null: all integrations. */
  integrations: string[] | null;
  /** The hosts that the agent can call. Null: all hosts of the integrations. */
  hosts: string[] | null;
  /** The HTTP methods that the agent can use. Null: all methods. */
  methods: string[] | null;
  /** The number of calls that one program of the agent can make. */
  callsPerRun: number;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time at which the session expires. */
  expiresAt: string;
  /** The last use of the token, or null, up to 10 minutes old. */
  lastUsedAt: string | null;
  /** The time of the revocation. Null for a token that is not revoked. */
  revokedAt: string | null;
  /** The agent to which the end user gave the token, or null. */
  clientId: string | null;
  /** The time until which the agent can renew the token, or null. */
  refreshExpiresAt: string | null;
}

/**
 * A new token. Only this response contains `endUserToken`, the token itself. Do not log this value.
 *
 * `mcpUrl`: the address to which the agent sends the token.
 */
export interface CreatedEndUserToken extends EndUserToken {
  /** The token itself. No other response contains the token. Do not log it. */
  endUserToken: string;
  /** The address to which the agent sends the token. */
  mcpUrl: string;
}

export default resource<EndUserTokens>("endUserTokens")({
  create: {
    method: "POST",
    path: "/v1/end-user-tokens",
    takes: "body",
    creates: true,
    returns: ["id", "audience", "endUserId", "endUserToken"],
    secrets: ["endUserToken"],
  },
  list: {
    method: "GET",
    path: "/v1/end-user-tokens",
    takes: "query",
    items: "endUserTokens",
    paged: true,
    returns: ["id", "audience", "endUserId"],
  },
  get: {
    method: "GET",
    path: "/v1/end-user-tokens/{end_user_token_id}",
    returns: ["id", "audience", "endUserId"],
  },
  revoke: {
    method: "DELETE",
    path: "/v1/end-user-tokens/{end_user_token_id}",
    returns: ["id", "audience", "endUserId"],
  },
});
