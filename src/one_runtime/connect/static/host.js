// Messages between the popup and the embedding page. The popup reports the outcome once, with one message for each
// allowed origin. The browser delivers only the message for the page's real origin. The popup accepts only one message:
// the user cancels.

export class Host {
  #origins;
  #requestId;
  #reported = false;
  #height = 0;

  /**
   * @param {string[]} origins the session's allowed origins. A popup without origins shows only an error, without a
   *   form and secrets. Such a popup reports the error to any embedding page, so that the page can close the popup.
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

  /** Reports that the popup is visible. Pages that expect only the outcome ignore this message: it has no `source`. */
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

  /** Calls `callback` when the embedding page asks to cancel. */
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
