/**
 * Permissions to make one connection in the hosted popup.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { Metadata } from "../values.js";
import type { AuthType } from "./catalog.js";
import type { Connection } from "./connections.js";
import type { SessionSummary } from "./end-users.js";

export type Mode = "embed" | "redirect" | "link";

export type SessionStatus = "pending" | "connected" | "failed" | "cancelled" | "expired";

export interface Sessions {
  /**
   * Create a session: a short-lived permission for one end user to make one connection in the hosted popup.
   *
   * The API key needs the scope `connect`.
   *
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `idempotency_key_in_use`, `conflict`, `end_user_mismatch` or
   * `connect_request_closed`.
   * @throws {InvalidInput} with the code `invalid_input`, `idempotency_key_reused` or `integration_disabled`.
   */
  create(input: NewSession, options?: RequestOptions): Promise<CreatedSession>;
  /**
   * List the sessions of your organization, newest first. The response contains no token.
   *
   * One Runtime keeps a session for 30 days after its last change. One Runtime keeps a session that no end user has
   * opened for one day, or until it expires.
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
      /** The state. */
      status?: SessionStatus | SessionStatus[];
      /** Only items at or after this time, as in RFC 3339. */
      since?: string;
      /** Only items before this time, as in RFC 3339. */
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<SessionSummary>;
  /**
   * Return the state of a session. Your backend must rely on this response, not on the result in the browser.
   *
   * The API key needs the scope `read`.
   *
   * @param sessionId The id of the session.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(sessionId: string, options?: RequestOptions): Promise<Session>;
  /**
   * Cancel a pending session.
   *
   * In the mode `redirect`, you can cancel the session until your backend redeems the session's code. If the session
   * has already made its connection, the response is 409. A second cancellation changes nothing.
   *
   * The API key needs the scope `connect`.
   *
   * @param sessionId The id of the session.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict` or `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  cancel(sessionId: string, options?: RequestOptions): Promise<Session>;
  /**
   * Confirm the new connection of a session in the mode `redirect`. The code is valid for 10 minutes.
   *
   * `endUserId` is the user who is signed in to your product. If the session belongs to another end user, the response
   * is 409, and One Runtime deletes the credentials that wait for the redemption. If you redeem the code again for the
   * right user, nothing changes.
   *
   * The API key needs the scope `connect`.
   *
   * @param sessionId The id of the session.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `conflict`, `account_mismatch`, `several_connections`, `end_user_mismatch`,
   * `session_cancelled`, `session_used` or `wrong_mode`.
   * @throws {Gone} with the code `session_expired`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  redeem(
    sessionId: string,
    input: {
      /** The parameter `code` in the query of your return URL. */
      code: string;
      /**
       * Your own identifier of the user who is signed in when the browser returns. Read the identifier from your own
       * login, never from the URL.
       */
      endUserId: string;
    },
    options?: RequestOptions,
  ): Promise<Session>;
}

/**
 * The end user, the integration, and the place where the popup opens.
 *
 * An empty text in an optional field has the same meaning as an omitted field.
 */
export interface NewSession {
  /** The integration to connect. Default: the end user chooses. */
  integrationSlug?: string;
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The end user's name, which the popup shows. */
  endUserName?: string;
  /** The end user's e-mail address, which the popup shows. */
  endUserEmail?: string;
  /** A name for the connection. The end user can change the name. */
  suggestedConnectionName?: string;
  /** The origins of pages that can show the popup. */
  allowedOrigins?: string[];
  /** The URL to which the browser returns in the mode `redirect`. */
  returnUrl?: string;
  /** The place where the popup opens: `embed`, `redirect` or `link`. */
  mode?: Mode;
  /** The id of the connection to reconnect. */
  connectionId?: string;
  /** The id of an agent's connect request. */
  connectRequestId?: string;
  /** True gives a new account its own connection. False replaces the present account. Default: `false`. */
  multiple?: boolean;
  /** The only auth type that the popup offers. Default: all. */
  authType?: AuthType;
  /** The OAuth scopes to request. Default: the scopes of the OAuth client. */
  scopes?: string[];
  /** The language of the popup. Default: the language of the browser. */
  locale?: string;
  /** An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not interpret it. */
  metadata?: Metadata;
  /**
   * The time in which the end user must open the session: 60 to 3600 seconds, and with the mode `link` up to 2592000
   * seconds (30 days). Default: `600`.
   */
  expiresIn?: number;
}

/** A new session. Only this response contains `sessionToken` and `connectUrl`. Do not log these two values. */
export interface CreatedSession {
  /** The token for the popup. No later response contains the token. */
  sessionToken: string;
  /** The URL of the popup, with the token. */
  connectUrl: string;
  /** The id. Ids are UUIDs. */
  id: string;
  /** The time at which the session expires. */
  expiresAt: string;
}

/** The state of a session, with the connection that the session made. */
export interface Session extends SessionSummary {
  /** The connection, or null. */
  connection: Connection | null;
}

export default resource<Sessions>("sessions")({
  create: {
    method: "POST",
    path: "/v1/hosted-connection-sessions",
    takes: "body",
    creates: true,
    returns: ["sessionToken", "connectUrl", "id"],
    secrets: ["sessionToken", "connectUrl"],
  },
  list: {
    method: "GET",
    path: "/v1/hosted-connection-sessions",
    takes: "query",
    items: "sessions",
    paged: true,
    returns: ["id", "status", "endUserId"],
  },
  get: {
    method: "GET",
    path: "/v1/hosted-connection-sessions/{session_id}",
    returns: ["id", "status", "endUserId"],
  },
  cancel: {
    method: "DELETE",
    path: "/v1/hosted-connection-sessions/{session_id}",
    returns: ["id", "status", "endUserId"],
  },
  redeem: {
    method: "POST",
    path: "/v1/hosted-connection-sessions/{session_id}/redeem",
    takes: "body",
    returns: ["id", "status", "endUserId"],
  },
});
