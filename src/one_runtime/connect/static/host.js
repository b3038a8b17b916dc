// Messages between the popup and the embedding page. The popup reports the outcome once, to each allowed origin by name
// (the browser delivers it to the origin that matches), and accepts one message only: that the user cancels.

export class Host {
  #origins;
  #requestId;
  #reported = false;
  #height = 0;

  /**
   * @param {string[]} origins the session's allowed origins. Only pages without a session have none: they hold no form and
   *   no secret, and report the error to any embedding page, so that it can close its window.
   */
  constructor(origins, requestId) {
    this.#origins = origins.length > 0 ? origins : ["*"];
    this.#requestId = requestId;
  }

  get reported() {
    return this.#reported;
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

  /** Reports that the popup is visible. Without `source`, so that pages which know only the outcome's format ignore it. */
  ready() {
    this.#post({ type: "one-runtime-ready", requestId: this.#requestId });
  }

  /** Reports the content's height, now and after every change. */
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
