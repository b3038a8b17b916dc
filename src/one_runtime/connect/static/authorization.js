// An authorization in a window of its own, as our frame follows it: the frame opens the window within the click, sends it
// a ticket, and asks our server for the outcome. It relies neither on later messages of the window, nor on its closing.

const POLL_MS = 1_000;
const HELLO_MS = 12_000;
const FEATURES = "popup,width=620,height=760";

export class Authorizations {
  #api;
  #current = null;

  constructor(api, base) {
    this.#api = api;
    this.address = `${base}/connect/authorization`;
    window.addEventListener("message", (event) => this.#onMessage(event));
  }

  /** Begins an authorization and ends the one before. Must run within a click: only then browsers open windows. */
  begin(request) {
    const opened = window.open(this.address, "_blank", FEATURES);
    this.stop();
    this.#current = new Authorization(this.#api, request, opened);
    return this.#current;
  }

  stop() {
    this.#current?.stop();
    this.#current = null;
  }

  // Accepts messages only from a page of our own origin that was opened for an authorization.
  #onMessage({ source, origin, data }) {
    if (origin !== location.origin || data?.type !== "one-runtime-authorization" || source === null) return;
    this.#current?.sendTicket(source);
  }
}

/** One authorization and its window. `blocked`: the browser opened no window, so that a link has to. */
class Authorization {
  #api;
  #opened;
  #prepared;
  #sent = false;
  #stopped = false;
  #timer = null;
  #onWindow = () => {};

  constructor(api, request, opened) {
    this.#api = api;
    this.#opened = opened;
    this.blocked = opened === null;
    this.#prepared = api.prepareAuthorization(request);
    this.#prepared.catch(() => opened?.close());
  }

  /** Calls `onWindow` when the window sends its first message, `onTimeout` if it sends none for a while. */
  waitForWindow(onWindow, onTimeout) {
    this.#onWindow = onWindow;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => !this.#sent && !this.#stopped && onTimeout(), HELLO_MS);
  }

  async sendTicket(source) {
    if (this.#sent || this.#stopped) return;
    this.#sent = true;
    this.#onWindow();
    const ticket = await this.#prepared.then((prepared) => prepared.ticket, () => null);
    source.postMessage({ type: "one-runtime-ticket", ticket: this.#stopped ? null : ticket }, location.origin);
  }

  /** Ends all messages, and closes the window if it is still ours: at the provider's page it is out of reach. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#opened?.close();
  }

  /** The outcome, or null after `stop`. Throws if the server refused the form. */
  async outcome() {
    const { authorization_id } = await this.#prepared;
    let failures = 0;
    while (!this.#stopped) {
      await pause();
      if (this.#stopped) break;
      try {
        const outcome = await this.#api.outcome(authorization_id);
        failures = 0;
        if (outcome.state !== "waiting" && !this.#stopped) return outcome;
      } catch (error) {
        // A lost network connection comes back; an error of the server that repeats stays.
        if (error.status !== undefined && ++failures > 2) throw error;
      }
    }
    return null;
  }
}

/** Waits a second, or until the page is visible again: browsers slow the timers of hidden pages down to one a minute. */
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
