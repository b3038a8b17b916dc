// A consent in the provider's own window, as our frame follows it: it opens the window in the click itself, hands it a
// ticket, and asks our server how it went. It relies on nothing that the window could say later, nor on its being closed.

const POLL_MS = 1_000;
const HELLO_MS = 12_000;
const FEATURES = "popup,width=620,height=760";

export class Consents {
  #api;
  #trip = null;

  constructor(api, base) {
    this.#api = api;
    this.address = `${base}/connect/consent`;
    window.addEventListener("message", (event) => this.#hear(event));
  }

  /** Begins, within a click: at no other moment do browsers open windows. A trip before ends without an outcome. */
  begin(request) {
    const opened = window.open(this.address, "_blank", FEATURES);
    this.stop();
    this.#trip = new Trip(this.#api, request, opened);
    return this.#trip;
  }

  stop() {
    this.#trip?.stop();
    this.#trip = null;
  }

  // Only pages of our own origin are heard, and of those the one that says it was opened for a consent.
  #hear({ source, origin, data }) {
    if (origin !== location.origin || data?.type !== "one-runtime-consent" || source === null) return;
    this.#trip?.hand(source);
  }
}

/** One window's way. `blocked`: the browser opened none, and a link has to. */
class Trip {
  #api;
  #opened;
  #prepared;
  #handed = false;
  #stopped = false;
  #unheard = null;
  #onHeard = () => {};

  constructor(api, request, opened) {
    this.#api = api;
    this.#opened = opened;
    this.blocked = opened === null;
    this.#prepared = api.prepare(request);
    this.#prepared.catch(() => opened?.close());
  }

  /** A window was opened: `onHeard` is called when it shows itself, `onUnheard` where none has after a while. */
  listen(onHeard, onUnheard) {
    this.#onHeard = onHeard;
    clearTimeout(this.#unheard);
    this.#unheard = setTimeout(() => !this.#handed && !this.#stopped && onUnheard(), HELLO_MS);
  }

  async hand(source) {
    if (this.#handed || this.#stopped) return;
    this.#handed = true;
    this.#onHeard();
    const ticket = await this.#prepared.then((prepared) => prepared.ticket, () => null);
    source.postMessage({ type: "one-runtime-ticket", ticket: this.#stopped ? null : ticket }, location.origin);
  }

  /** No more is heard or told. A window that has not left yet is closed; of one that has, nobody has a say here. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#unheard);
    this.#opened?.close();
  }

  /** How it went, or null where it was stopped. Throws what the server refused when it was begun. */
  async outcome() {
    const { consent_id } = await this.#prepared;
    let failures = 0;
    while (!this.#stopped) {
      await pause();
      if (this.#stopped) break;
      try {
        const outcome = await this.#api.outcome(consent_id);
        failures = 0;
        if (outcome.state !== "waiting" && !this.#stopped) return outcome;
      } catch (error) {
        // A lost connection comes back; what the server refuses several times over stays refused.
        if (error.status !== undefined && ++failures > 2) throw error;
      }
    }
    return null;
  }
}

/** A second, or until the person looks here again: a page behind others has its timers slowed down to one in a minute. */
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
