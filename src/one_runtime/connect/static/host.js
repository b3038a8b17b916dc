// Talks with the page that embeds us. It tells the outcome once, to each allowed origin by name (the browser delivers to
// the one that matches), and hears one thing only: that the user wants to leave.

export class Host {
  #origins;
  #requestId;
  #told = false;
  #height = 0;

  /**
   * @param {string[]} origins the session's allowed origins. There are none only on pages that know no session: those
   *   carry no form and no secret, and tell any embedder the error, so that its window can be closed.
   */
  constructor(origins, requestId) {
    this.#origins = origins.length > 0 ? origins : ["*"];
    this.#requestId = requestId;
  }

  get told() {
    return this.#told;
  }

  /** The outcome, in the fixed format. Only the first one counts. */
  tell(status, { connection = null, error = null } = {}) {
    if (this.#told) return;
    this.#told = true;
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

  /** Something can be seen. Without `source`, so that embedders who know only the outcome's format ignore it. */
  ready() {
    this.#post({ type: "one-runtime-ready", requestId: this.#requestId });
  }

  /** Says how high the content is, now and whenever it changes. */
  followHeight(node) {
    new ResizeObserver(() => {
      const height = Math.ceil(node.getBoundingClientRect().height);
      if (height === this.#height) return;
      this.#height = height;
      this.#post({ type: "one-runtime-resize", requestId: this.#requestId, height });
    }).observe(node);
  }

  /** Calls back when the embedding page asks to cancel. */
  onCancel(callback) {
    window.addEventListener("message", (event) => {
      const { source, type, requestId } = event.data ?? {};
      if (event.source !== window.parent || source !== "one-runtime-host" || type !== "cancel") return;
      if (requestId !== this.#requestId) return;
      if (!this.#origins.includes("*") && !this.#origins.includes(event.origin)) return;
      callback();
    });
  }

  #post(message) {
    if (window.parent === window) return;
    for (const origin of this.#origins) window.parent.postMessage(message, origin);
  }
}
