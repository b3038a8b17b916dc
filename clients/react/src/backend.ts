/** The routes of your backend that act for the signed-in user. The handlers of the client libraries serve them. */

/** What to connect. Without `integrationSlug`, the popup shows a list of integrations. */
export interface ConnectInput {
  integrationSlug?: string | undefined;
  /** The connection to connect again. */
  connectionId?: string | undefined;
}

/** The session token, or an answer that contains it. */
export type CreatedSession = string | { sessionToken: string } | { session_token: string };

export interface Integration {
  slug: string;
  name: string;
  description: string;
  logoUrl: string | null;
  category: string;
  status: "connected" | "not_connected";
  connections: IntegrationConnection[];
}

export interface IntegrationConnection {
  id: string;
  name: string;
  status: "active" | "needs_reauth";
  /** Why the user has to connect again. */
  error: { code: string; message: string } | null;
}

/** Functions that call your backend. Each function acts for the user who is signed in to your product. */
export interface Backend {
  /** Creates a session. Your backend takes the end user from the login, never from the request. */
  createSession(input: ConnectInput): Promise<CreatedSession>;
  listIntegrations(signal?: AbortSignal): Promise<Integration[]>;
  disconnect(integrationSlug: string): Promise<unknown>;
}

/**
 * Returns the backend at a path that a handler of One Runtime's client libraries serves, such as `/api/one-runtime`.
 * `init` is passed to each `fetch`, for example with headers of your own.
 */
export function backendAt(path: string, init: RequestInit = {}): Backend {
  const base = path.replace(/\/+$/, "");
  const post = (route: string, body: object) => {
    const headers = new Headers(init.headers);
    headers.set("content-type", "application/json");
    return answerOf(fetch(base + route, { ...init, method: "POST", headers, body: JSON.stringify(body) }));
  };
  return {
    createSession: async ({ integrationSlug, connectionId }) => {
      const answer = await post("/sessions", { integration_slug: integrationSlug, connection_id: connectionId });
      return { sessionToken: String(answer["session_token"]) };
    },
    listIntegrations: async (signal) => {
      const request = fetch(`${base}/integrations`, { ...init, ...(signal && { signal }) });
      return ((await answerOf(request))["integrations"] as Listed[]).map(integrationOf);
    },
    disconnect: (integrationSlug) => post("/disconnect", { integration_slug: integrationSlug }),
  };
}

/** An integration in the list of One Runtime's API. */
type Listed = Omit<Integration, "logoUrl" | "connections"> & {
  logo_url: string | null;
  connections?: IntegrationConnection[];
};

function integrationOf({ logo_url: logoUrl, connections = [], ...listed }: Listed): Integration {
  return { ...listed, logoUrl, connections };
}

async function answerOf(request: Promise<Response>) {
  const response = await request;
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (!response.ok) throw new Error(String(answer["detail"] ?? `The backend answered ${response.status}.`));
  return answer;
}

/** Returns the token of a session. */
export function tokenOf(session: CreatedSession): string {
  if (typeof session === "string") return session;
  return "sessionToken" in session ? session.sessionToken : session.session_token;
}
