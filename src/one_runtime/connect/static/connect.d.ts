/** The outcome of the hosted popup. `status` decides which other fields have a value. */
export type ConnectOutcome = ConnectedOutcome | CancelledOutcome | FailedOutcome;

/** The account is connected. This is for the page only: your backend verifies it with One Runtime. */
export interface ConnectedOutcome {
  source: "one-runtime";
  /** The id of the request that `open` made. */
  requestId: string;
  status: "connected";
  connectionId: string;
  integrationSlug: string;
  connectionName: string;
  error: null;
}

/** The user or the page has closed the popup. */
export interface CancelledOutcome {
  source: "one-runtime";
  requestId: string;
  status: "cancelled";
  connectionId: null;
  integrationSlug: null;
  connectionName: null;
  error: null;
}

/** The popup cannot connect an account. */
export interface FailedOutcome {
  source: "one-runtime";
  requestId: string;
  status: "error";
  connectionId: null;
  integrationSlug: null;
  connectionName: null;
  error: ConnectError;
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
  /**
   * `session_token`, which your backend got from `POST /v1/hosted-connection-sessions`. Pass a promise or a function to
   * show the popup at once, while your backend creates the session. If it fails, `open` rejects with its error.
   */
  sessionToken: string | PromiseLike<string> | (() => string | PromiseLike<string>);
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
