/** Hosted connection sessions: types and operations. */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { AuthType } from "./catalog.js";
import type { Connection, ErrorNote, Metadata } from "./connections.js";

export type Mode = "embed" | "redirect" | "link";

export interface Sessions {
  /**
   * Lists sessions, newest first, without their tokens. A filter with several values matches sessions that have one of
   * the values. `since` and `until` select by the time of creation.
   */
  list(
    query?: {
      endUserId?: string | string[];
      integrationSlug?: string | string[];
      status?: SessionStatus | SessionStatus[];
      since?: string;
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<SessionSummary>;
  /**
   * Creates a session. With a session, an end user can make one connection in the hosted popup. Log neither
   * `sessionToken` nor `connectUrl`.
   */
  create(input: NewSession, options?: RequestOptions): Promise<CreatedSession>;
  get(sessionId: string, options?: RequestOptions): Promise<Session>;
  cancel(sessionId: string, options?: RequestOptions): Promise<Session>;
  /**
   * Redeems the code of a session in the mode `redirect`. `endUserId`: the user who is signed in to your product in the
   * browser that sent the code. Take the value from your login session, never from the URL.
   */
  redeem(sessionId: string, input: { code: string; endUserId: string }, options?: RequestOptions): Promise<Session>;
}

export interface NewSession {
  endUserId: string;
  integrationSlug?: string;
  endUserName?: string;
  endUserEmail?: string;
  suggestedConnectionName?: string;
  mode?: Mode;
  allowedOrigins?: string[];
  returnUrl?: string;
  connectionId?: string;
  multiple?: boolean;
  authType?: AuthType;
  scopes?: string[];
  metadata?: Metadata;
  /** Seconds in which the end user has to open the popup, 60 to 3600. */
  expiresIn?: number;
}

export interface CreatedSession {
  sessionToken: string;
  connectUrl: string;
  id: string;
  expiresAt: string;
}

export type SessionStatus = "pending" | "connected" | "failed" | "cancelled" | "expired";

/** A session in a list of sessions. */
export interface SessionSummary {
  id: string;
  status: SessionStatus;
  endUserId: string;
  integrationSlug: string | null;
  mode: Mode;
  returnUrl: string | null;
  lastError: ErrorNote | null;
  /** The connection that the session made, or null. The connection can have been deleted. */
  connectionId: string | null;
  metadata: Metadata;
  createdAt: string;
  expiresAt: string;
}

export interface Session extends SessionSummary {
  connection: Connection | null;
}

const SESSION = ["id", "status", "endUserId"] as const;

export default resource<Sessions>("sessions")({
  list: {
    method: "GET",
    path: "/v1/hosted-connection-sessions",
    takes: "query",
    items: "sessions",
    paged: true,
    returns: SESSION,
  },
  create: {
    method: "POST",
    path: "/v1/hosted-connection-sessions",
    takes: "body",
    creates: true,
    returns: ["id", "sessionToken", "connectUrl"],
    secrets: ["sessionToken", "connectUrl"],
  },
  get: { method: "GET", path: "/v1/hosted-connection-sessions/{session_id}", returns: SESSION },
  cancel: { method: "DELETE", path: "/v1/hosted-connection-sessions/{session_id}", returns: SESSION },
  redeem: {
    method: "POST",
    path: "/v1/hosted-connection-sessions/{session_id}/redeem",
    takes: "body",
    returns: SESSION,
  },
});
