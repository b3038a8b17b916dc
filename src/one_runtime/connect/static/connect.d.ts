/** The outcome of the hosted popup. Fields that do not apply are null. */
export interface ConnectOutcome {
  source: "one-runtime";
  /** The id of the request that `open` made. */
  requestId: string;
  status: "connected" | "cancelled" | "error";
  /** Set when `status` is `connected`. For the page only: your backend verifies it with One Runtime. */
  connectionId: string | null;
  integrationSlug: string | null;
  connectionName: string | null;
  /** Set when `status` is `error`. */
  error: ConnectError | null;
}

export interface ConnectError {
  code:
    | "session_expired"
    | "session_used"
    | "session_unknown"
    | "too_many_attempts"
    | "no_allowed_origins"
    | "load_failed"
    | "window_unavailable"
    | (string & {});
  message: string;
}

export interface OpenOptions {
  /** `session_token`, which your backend got from `POST /v1/hosted-connection-sessions`. */
  sessionToken: string;
  /** `connect_url` from the same response; by default it is made from `baseUrl`. */
  connectUrl?: string | null;
  /** Closes the popup when it is aborted, as the close button does. */
  signal?: AbortSignal | null;
}

export interface OneRuntime {
  readonly connections: {
    /**
     * Opens the popup in a modal frame over the page. Escape and the close button cancel.
     *
     * Resolves for all three outcomes, also after `signal` or `close`. Rejects on misuse only: a missing `sessionToken`, an invalid URL, or
     * a second window while one is open. Resolves `connected` at once, while the popup still shows its check mark.
     */
    open(options: OpenOptions): Promise<ConnectOutcome>;
    /**
     * Closes the open popup, as the close button does. If the account is connected, this ends the check mark. Resolves
     * when the popup is gone and the page has the focus again; at once if no popup is open.
     */
    close(): Promise<void>;
  };
}

export interface OneRuntimeOptions {
  /** The public URL of One Runtime; by default the URL that this module was loaded from. */
  baseUrl?: string;
}

export function createOneRuntime(options?: OneRuntimeOptions): OneRuntime;
