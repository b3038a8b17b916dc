// Authorizations in a separate window. Our frame opens the window during the click, and sends a ticket to the window.
// Then our frame asks our server for the outcome. The frame needs no further messages from the window.

const POLL_MS = 1_000;
const HELLO_MS = 12_000;
const [WIDTH, HEIGHT] = [620, 760];

export class Authorizations {
  #api;
  #current = null;

  constructor(api, address) {
    this.#api = api;
    this.address = address;
    window.addEventListener("message", (event) => this.#onMessage(event));
  }

  /** Begins an authorization and ends the previous one. Must run during a click: browsers open windows only then. */
  begin(request) {
    const opened = window.open(this.address, "_blank", features());
    this.stop();
    this.#current = new Authorization(this.#api, request, opened);
    return this.#current;
  }

  get isWaiting() {
    return this.#current !== null;
  }

  stop() {
    this.#current?.stop();
    this.#current = null;
  }

  // Accepts messages only from our own origin. Only the page of the authorization window sends this type of message.
  #onMessage({ source, origin, data }) {
    if (origin !== location.origin || data?.type !== "one-runtime-authorization" || source === null) return;
    this.#current?.sendTicket(source);
  }
}

/** One authorization and its window. `blocked`: the browser did not open the window, so the user must click a link. */
class Authorization {
  #api;
  #opened;
  #window;
  #prepared;
  #sent = false;
  #stopped = false;
  #timer = null;
  #onWindow = () => {};

  constructor(api, request, opened) {
    this.#api = api;
    this.#opened = this.#window = opened;
    this.blocked = opened === null;
    this.#prepared = api.prepareAuthorization(request);
    this.#prepared.catch(() => opened?.close());
  }

  /** Calls `onWindow` after the window's first message. Calls `onTimeout` if no message arrives within `HELLO_MS`. */
  waitForWindow(onWindow, onTimeout) {
    this.#onWindow = onWindow;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => !this.#sent && !this.#stopped && onTimeout(), HELLO_MS);
  }

  async sendTicket(source) {
    if (this.#sent || this.#stopped) return;
    this.#sent = true;
    this.#window = source;
    this.#onWindow();
    const ticket = await this.#prepared.then((prepared) => prepared.ticket, () => null);
    source.postMessage({ type: "one-runtime-ticket", ticket: this.#stopped ? null : ticket }, location.origin);
  }

  /** Sends no further ticket, and closes the window. The window stays open if it already shows the provider's page. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#opened?.close();
  }

  /**
   * Waits for the outcome and returns it. Returns null after `stop`. Throws if the server refused the form.
   *
   * Calls `onTrouble` with `mismatch` if a browser without our cookie has returned from the provider, with `policy` if
   * the page has cut off the window by its Cross-Origin-Opener-Policy, and with `closed` when the window seems to be
   * closed. A window also seems to be closed if the provider's page has a
   * Cross-Origin-Opener-Policy. So the authorization stays open in all cases.
   */
  async outcome(onTrouble) {
    const { authorization_id } = await this.#prepared;
    let failures = 0;
    while (!this.#stopped) {
      await pause();
      if (this.#stopped) break;
      try {
        const outcome = await this.#api.outcome(authorization_id);
        failures = 0;
        if (outcome.state !== "waiting" && !this.#stopped) return outcome;
        if (this.#stopped) break;
        if (outcome.code === "browser_mismatch") onTrouble("mismatch");
        else if (outcome.code === "opener_policy") onTrouble("policy");
        else if (this.#window?.closed) onTrouble("closed");
      } catch (error) {
        // While the network is down, retry without a limit. After three errors of the server, give up.
        if (error.status !== undefined && ++failures > 2) throw error;
      }
    }
    return null;
  }
}

/** Returns the features of a window in the middle of the browser's window. */
function features() {
  const left = Math.max(0, Math.round(screenX + (outerWidth - WIDTH) / 2));
  const top = Math.max(0, Math.round(screenY + (outerHeight - HEIGHT) / 2));
  return `popup,width=${WIDTH},height=${HEIGHT},left=${left},top=${top}`;
}

/** Waits a second, or until the page is visible again. In hidden pages, browsers delay timers by up to a minute. */
function pause() {
  return new Promise((resolve) => {
    const timer = setTimeout(done, POLL_MS);
    function done() {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", done);
      resolve();
    }
    document.addEventListener("visibilitychange", done);
  });
}
