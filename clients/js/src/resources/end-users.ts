/**
 * The users of your product.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { Metadata } from "../values.js";
import type { AgentAuthorization } from "./agent-authorizations.js";
import type { ApprovalRequest } from "./approval-requests.js";
import type { ConnectRequest } from "./connect-requests.js";
import type { Connection, ErrorNote, Revocation } from "./connections.js";
import type { EndUserToken } from "./end-user-tokens.js";
import type { Mode, SessionStatus } from "./sessions.js";

export interface EndUsers {
  /**
   * Return everything that One Runtime stores about an end user, in one response of any size.
   *
   * If an error occurs after the beginning of the response, One Runtime closes the connection, so that no program takes
   * a part for the whole.
   *
   * The API key needs the scope `admin`.
   *
   * @param endUserId Your own identifier of the end user.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  export(endUserId: string, options?: RequestOptions): Promise<EndUserExport>;
  /**
   * List the end users of your organization in pages, ordered by identifier.
   *
   * The API key needs the scope `read`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(
    query?: {
      /** Your own identifier of the end user. */
      endUserId?: string | string[];
      /** The end user's e-mail address, or null. */
      email?: string | string[];
      /** Only items at or after this time, as in RFC 3339. */
      since?: string;
      /** Only items before this time, as in RFC 3339. */
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<EndUser>;
  /**
   * Return an end user of your organization.
   *
   * The API key needs the scope `read`.
   *
   * @param endUserId Your own identifier of the end user.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(endUserId: string, options?: RequestOptions): Promise<EndUser>;
  /**
   * Change an end user. The body is a JSON Merge Patch (RFC 7396).
   *
   * A request that changes nothing writes no event, and `updatedAt` stays the same.
   *
   * The API key needs the scope `connect`.
   *
   * @param endUserId Your own identifier of the end user.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  update(endUserId: string, input: EndUserUpdate, options?: RequestOptions): Promise<EndUser>;
  /**
   * Delete an end user, and all connections, credentials and sessions of this end user.
   *
   * The response has the end user as it last was. It is the last place with these values, so do not log it.
   *
   * One Runtime removes the end user's identifier from all events of the audit log. Only webhook endpoints receive the
   * identifier, with the event `end_user.deleted`.
   *
   * The API key needs the scope `admin`.
   *
   * @param endUserId Your own identifier of the end user.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  delete(endUserId: string, options?: RequestOptions): Promise<DeletedEndUser>;
}

/**
 * The fields to change, as a JSON Merge Patch (RFC 7396). An omitted field keeps its value, and null clears it.
 *
 * `metadata`: each key changes only this key. A key with null removes the key. With null instead of an object, all keys
 * are removed.
 */
export interface EndUserUpdate {
  /** The name. */
  name?: string | null;
  /** The end user's e-mail address, or null. */
  email?: string | null;
  /**
   * The changes of the metadata. Each key changes only this key, and a key with null is removed. The client does not
   * change the keys.
   */
  metadata?: Metadata | null;
}

/** A user of your product. `endUserId`: your own identifier of this user. */
export interface EndUser {
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The end user's name, or null. */
  name: string | null;
  /** The end user's e-mail address, or null. */
  email: string | null;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time of the last change, as in RFC 3339. */
  updatedAt: string;
  /** An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not interpret it. */
  metadata: Metadata;
}

/** The deleted end user as it last was, and the results of revoking the tokens. */
export interface DeletedEndUser extends EndUser {
  /** The number of deleted connections. */
  deletedConnections: number;
  /** The result of revoking each token at the provider. */
  revocations: Revocation[];
}

/**
 * A session in a list, without its token.
 *
 * `lastError`: the newest stored error, or null. The session can stay `pending` after an error. After ten attempts that
 * the provider refused, the session is `failed`.
 *
 * `connectionId`: the id of the connection that the session made, or null. The connection can have been deleted.
 */
export interface SessionSummary {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The state of the session. */
  status: SessionStatus;
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The slug of the integration, or null before the choice. */
  integrationSlug: string | null;
  /** The place where the popup opens: `embed`, `redirect` or `link`. */
  mode: Mode;
  /** The language that you chose for the popup, or null for the language of the browser. */
  locale: string | null;
  /** The URL to which the browser returns in the mode `redirect`. */
  returnUrl: string | null;
  /** The newest error of the session, or null. */
  lastError: ErrorNote | null;
  /** The id of the connection that the session made, or null. */
  connectionId: string | null;
  /** An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not interpret it. */
  metadata: Metadata;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time at which the session expires. */
  expiresAt: string;
}

/**
 * A program of an agent that waits for the end user, or that continues after a wait.
 *
 * `status`: `waiting` or `running`. `endUserTokenId`: the token of the agent, or null if your backend started the
 * program.
 */
export interface PausedAgentRun {
  /** The id. Ids are UUIDs. */
  id: string;
  /** `waiting` or `running`. */
  status: string;
  /** The id of the end-user token. */
  endUserTokenId: string | null;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
}

/**
 * The actor that caused an event: an API key, an end user, or One Runtime itself (`system`).
 *
 * If an operator ran a command, the type is `system`, and `id` is the name of the operator.
 */
export interface Actor {
  /** The kind of actor: `api_key`, `end_user`, `end_user_token` or `system`. */
  type: string;
  /** The id of the API key, the identifier of the end user, or the name of the operator. */
  id: string | null;
}

/**
 * An event of the audit log. `data` contains no secrets.
 *
 * `requestId`: the header `Request-Id` of the HTTP request that caused the event. Null if no request caused the event,
 * or if an older version of One Runtime recorded the event.
 */
export interface Event {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The type of the event. */
  type: string;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The actor that caused the event. */
  actor: Actor;
  /** The IP address of the actor, or null. */
  address: string | null;
  /** Your own identifier of the end user. */
  endUserId: string | null;
  /** The id of the connection. */
  connectionId: string | null;
  /** More data of the event, without secrets. */
  data: { [key: string]: unknown };
  /** The id of the request, as in the header `Request-Id`. The server's log contains this id. */
  requestId: string | null;
}

/** A call through the proxy. Body sizes are in bytes, and durations are in milliseconds. */
export interface ProxyRequest {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** Your own identifier of the end user. */
  endUserId: string | null;
  /** The id of the connection. */
  connectionId: string;
  /** The slug of the integration. */
  integrationSlug: string;
  /** The HTTP method. */
  method: string;
  /** The path at the provider, without the query. */
  path: string;
  /** The HTTP status. 0: the caller disconnected before the response. */
  httpStatus: number;
  /** The code of One Runtime's own error, or null. */
  errorCode: string | null;
  /** The number of requests that One Runtime sent to the provider. */
  attempts: number;
  /** The size of the request's body in bytes. */
  requestBytes: number;
  /** The size of the response's body in bytes. */
  responseBytes: number;
  /** The duration of the call in milliseconds. */
  durationMs: number;
  /** The time until the provider's response in milliseconds, or null. */
  upstreamMs: number | null;
  /** The id of the API key. */
  apiKeyId: string | null;
  /** The id of the request, as in the header `Request-Id`. The server's log contains this id. */
  requestId: string | null;
  /** The end-user token of the agent that made the call, or null. */
  endUserTokenId: string | null;
  /** The run of an agent's program that made the call, or null. */
  runId: string | null;
  /** The member who made the call in the playground of the dashboard, or null. */
  memberId: string | null;
}

/**
 * Everything that One Runtime stores about an end user, without credentials and other secrets.
 *
 * Each list begins with the newest item.
 */
export interface EndUserExport {
  /** The time at which the export began, as in RFC 3339. */
  exportedAt: string;
  /** The end user. */
  endUser: EndUser;
  /** The connections, newest first. */
  connections: Connection[];
  /** The sessions, newest first. */
  sessions: SessionSummary[];
  /** The tokens, newest first, with revoked and expired tokens. */
  endUserTokens: EndUserToken[];
  /** The agents that the end user has approved, newest first. */
  agentAuthorizations: AgentAuthorization[];
  /** The requests of agents to connect an account, newest first. */
  connectRequests: ConnectRequest[];
  /** The calls of agents that the end user had to approve, newest first. */
  approvalRequests: ApprovalRequest[];
  /** The programs of agents that wait for the end user, newest first. */
  pausedAgentRuns: PausedAgentRun[];
  /** The events of the end user, newest first. */
  events: Event[];
  /** The calls through the proxy, newest first. */
  proxyRequests: ProxyRequest[];
}

export default resource<EndUsers>("endUsers")({
  export: {
    method: "GET",
    path: "/v1/end-user-exports/{end_user_id}",
    returns: ["exportedAt", "endUser", "connections"],
  },
  list: {
    method: "GET",
    path: "/v1/end-users",
    takes: "query",
    items: "endUsers",
    paged: true,
    returns: ["endUserId", "createdAt", "updatedAt"],
  },
  get: {
    method: "GET",
    path: "/v1/end-users/{end_user_id}",
    returns: ["endUserId", "createdAt", "updatedAt"],
  },
  update: {
    method: "PATCH",
    path: "/v1/end-users/{end_user_id}",
    takes: "body",
    returns: ["endUserId", "createdAt", "updatedAt"],
  },
  delete: {
    method: "DELETE",
    path: "/v1/end-users/{end_user_id}",
    returns: ["endUserId", "createdAt", "updatedAt"],
  },
});
