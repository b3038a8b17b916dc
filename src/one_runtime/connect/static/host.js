// Messages between the popup and the embedding page. The popup reports the outcome once, to the embedding page's origin.
// The popup accepts three messages: the session token, a cancellation, and a user who wants to leave.

const TOKEN_MS = 3_000;

export class Host {
  #origins;
  #requestId;
  #reported = false;
  #height = 0;
  #asks = false;

  /**
   * @param {string[]} origins the session's allowed origins. A popup without origins shows only an error, without a
   *   form and secrets. Such a popup reports the error to any embedding page, so that the page can close the popup.
   */
  constructor(origins, requestId) {
    this.#origins = origins.length > 0 ? origins : ["*"];
    this.#requestId = requestId;
    // For a message to each allowed origin, the browser would log an error for each origin that is not the page's.
    const page = location.ancestorOrigins?.[0];
    if (this.#origins.includes(page)) this.#origins = [page];
  }

  get reported() {
    return this.#reported;
  }

  /** Sends the branding of the popup to connect.js, which draws the panel around the popup. `radius`: in pixels. */
  sendTheme(scheme, radius) {
    // The target can be any origin, because this message contains no secret.
    window.parent.postMessage({ type: "one-runtime-theme", requestId: this.#requestId, scheme, radius }, "*");
  }

  /** Asks connect.js in the embedding page for the session token. Returns null if the page does not answer. */
  requestToken() {
    return new Promise((resolve) => {
      this.#on("session", ({ origin, data }) => {
        this.#origins = [origin];
        resolve(typeof data.sessionToken === "string" ? data.sessionToken : null);
      });
      setTimeout(resolve, TOKEN_MS, null);
      // The target can be any origin, because this message contains only the page's own request id.
      window.parent.postMessage({ type: "one-runtime-hello", requestId: this.#requestId }, "*");
    });
  }

  /** Reports the outcome in the fixed format. Only the first report counts. */
  report(status, { connection = null, error = null } = {}) {
    if (this.#reported) return;
    this.#reported = true;
    this.#post({
      source: "one-runtime",
      requestId: this.#requestId,
      status,
      connectionId: connection?.connection_id ?? null,
      integrationSlug: connection?.integration_slug ?? null,
      connectionName: connection?.connection_name ?? null,
      error,
    });
  }

  /** Reports that the popup is visible. Pages that expect only the outcome ignore this message: it has no `source`. */
  ready() {
    this.#send("ready");
  }

  /** Asks connect.js to remove the popup after the outcome. */
  close() {
    this.#send("close");
  }

  /** Reports if the popup asks the user before it is left. */
  setAsks(asks) {
    if (asks === this.#asks) return;
    this.#asks = asks;
    this.#send("asks", { asks });
  }

  /** Reports the content's height, now and after every change. */
  followHeight(node) {
    new ResizeObserver(() => {
      const height = Math.ceil(node.getBoundingClientRect().height);
      if (height === this.#height) return;
      this.#height = height;
      this.#send("resize", { height });
    }).observe(node);
  }

  /** Calls `onCancel` when the embedding page cancels, and `onLeave` when the user presses Escape in that page. */
  onLeave(onCancel, onLeave) {
    this.#on("cancel", onCancel);
    this.#on("leave", onLeave);
  }

  #on(wanted, callback) {
    window.addEventListener("message", (event) => {
      const { source, type, requestId } = event.data ?? {};
      if (event.source !== window.parent || source !== "one-runtime-host" || type !== wanted) return;
      if (requestId !== this.#requestId) return;
      if (!this.#origins.includes("*") && !this.#origins.includes(event.origin)) return;
      callback(event);
    });
  }

  #send(type, more = {}) {
    this.#post({ type: `one-runtime-${type}`, requestId: this.#requestId, ...more });
  }

  #post(message) {
    if (window.parent === window) return;
    for (const origin of this.#origins) window.parent.postMessage(message, origin);
  }
}
