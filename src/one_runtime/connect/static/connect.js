// One Runtime in your page: an ES module without dependencies. The module opens the hosted popup in a modal frame, and
// returns a promise of the outcome. The module sets its styles through CSSOM, so a strict style-src does not block the
// styles. The frame-src of your page has to allow One Runtime's origin.

const TEXTS = __TEXTS__; // the server replaces the placeholder by texts of the folder `languages`

const READY_HINT_MS = 10_000;
const HELLO_MS = 1_000;
const CANCEL_MS = 2_000;
const SHOW_SUCCESS_MS = 3_000;
const STATUSES = ["connected", "cancelled", "error"];

const STYLE = `
  dialog {
    all: initial; direction: ltr; /* the page's dialogs can set pointer-events: none, which a dialog inherits */
    display: none; position: fixed; inset: var(--view-top, 0) 0 auto; width: 100%; height: var(--view-height, 100%); padding: 16px;
    box-sizing: border-box; overflow: hidden; color: #191a1c;
    font: 400 15px/1.5 system-ui, sans-serif; text-align: center;
    --paper: #fff; --soft: #5b5e63; --edge: #898c91; --ring: #3564e0;
  }
  dialog[open] {
    display: grid; grid-template-rows: minmax(0, 1fr); align-items: start; justify-items: center;
    --room: calc(var(--view-height, 100dvh) - 32px);
  }
  dialog::backdrop { background: rgb(18 18 17 / 46%); }
  .panel {
    position: relative; width: 100%; max-width: 440px; height: var(--height); max-height: 100%; overflow: hidden;
    --first: 400px; --height: 400px; margin-top: max(0px, min((var(--room) - var(--first)) / 2, var(--room) - var(--height)));
    border-radius: var(--corner); background: var(--paper); box-shadow: 0 24px 80px rgb(0 0 0 / 28%), 0 2px 6px rgb(0 0 0 / 10%);
  }
  iframe { display: block; width: 100%; height: 100%; border: 0; color-scheme: light dark; opacity: 0; }
  .ready iframe { opacity: 1; }
  .wait { position: absolute; inset: 0; display: grid; place-items: center; align-content: center; gap: 8px; padding: 32px; }
  .ready .wait, .hint:not([hidden]) ~ .spinner { display: none; }
  .spinner {
    width: 22px; height: 22px; border: 2px solid var(--edge); border-top-color: var(--soft);
    border-radius: 50%; animation: turn .8s linear infinite;
  }
  .hint { display: grid; gap: 8px; justify-items: center; margin-top: 12px; }
  .hint[hidden] { display: none; }
  h2, p { margin: 0; }
  h2 { font-size: 18px; font-weight: 600; line-height: 1.3; }
  p { max-width: 34ch; color: var(--soft); }
  button { font: inherit; color: inherit; cursor: pointer; background: none; }
  button:focus-visible { outline: 2px solid var(--ring); outline-offset: 2px; }
  .close { position: absolute; top: 12px; right: 12px; width: 36px; height: 36px; padding: 8px; border: 0; border-radius: 50%; color: var(--soft); }
  .close svg { display: block; fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linecap: round; }
  .leave { min-width: 160px; margin-top: 12px; padding: 10px 20px; border: 1px solid var(--edge); border-radius: calc(var(--corner) * .6); font-weight: 600; }
  @keyframes turn { to { rotate: 1turn; } }
  @keyframes rise { from { opacity: 0; translate: 0 12px; } }
  @keyframes dim { from { opacity: 0; } }
  @media (max-width: 519px) {
    dialog { padding: 24px 0 0; }
    dialog[open] { align-items: end; }
    .panel { max-width: none; margin: 0; border-radius: var(--corner) var(--corner) 0 0; }
  }
  @media (forced-colors: active) { .panel { border: 2px solid CanvasText; box-sizing: border-box; } .spinner { border-color: Canvas; border-top-color: CanvasText; } }
  @media (prefers-color-scheme: dark) {
    dialog { color: #f2f2ef; --paper: #18191b; --soft: #a6a9ae; --edge: #777b81; --ring: #8aaaff; }
    dialog::backdrop { background: rgb(0 0 0 / 62%); }
    .panel { box-shadow: 0 0 0 1px #2a2c2f, 0 24px 80px rgb(0 0 0 / 60%); }
  }
  @media (prefers-reduced-motion: no-preference) {
    dialog[open] .panel { animation: rise 260ms cubic-bezier(.2,.7,.2,1); }
    dialog[open]::backdrop { animation: dim 200ms ease-out; }
    .panel { transition: height 220ms cubic-bezier(.2,.7,.2,1); }
    iframe { transition: opacity 140ms; }
  }
  @media (prefers-reduced-motion: reduce) { .spinner { animation-duration: 4s; } }
`;

const DARK = /\(prefers-color-scheme: dark\)/g;
const DARK_MEDIA = { light: "not all", dark: "all" };
const BOTH_SCHEMES = /(color-scheme: )light dark/g;

// The theme of the last popup. The next window shows this theme before its popup has loaded.
let lastTheme = { scheme: "auto", radius: 10 };

// The open window. All copies of this module on a page share it.
const OPEN = Symbol.for("one-runtime.open-window");

/**
 * @param {{baseUrl?: string}} options `baseUrl`: the public URL of One Runtime. By default, `baseUrl` is the folder of
 *   this module's URL.
 */
export function createOneRuntime({ baseUrl = new URL(".", import.meta.url).href } = {}) {
  const base = webAddress(baseUrl, "baseUrl");
  followFocus();
  base.pathname = base.pathname.replace(/\/*$/, "/");
  return Object.freeze({
    connections: Object.freeze({ open: async (options) => open(base, options ?? {}), close: async () => globalThis[OPEN]?.close() }),
  });
}

function open(base, { sessionToken, connectUrl, signal = null }) {
  const isLater = typeof sessionToken === "function" || typeof sessionToken?.then === "function";
  if (!isLater) checkToken(sessionToken);
  if (signal !== null && typeof signal?.aborted !== "boolean") throw new TypeError("One Runtime: signal has to be an AbortSignal.");
  const url = connectUrl === undefined || connectUrl === null ? new URL("connect", base) : webAddress(connectUrl, "connectUrl");
  const requestId = randomId();
  if (signal?.aborted) return outcome(requestId, "cancelled");
  globalThis[OPEN]?.finishIfLeaving();
  if (globalThis[OPEN]) throw new Error("One Runtime: a connect window is open already. Wait for its promise.");
  url.searchParams.delete("session_token"); // scripts of the page can read this URL in the performance entries
  url.searchParams.set("request_id", requestId);
  return new Promise((resolve, reject) => {
    globalThis[OPEN] = new ConnectWindow(url, requestId, signal, resolve);
    globalThis[OPEN].load(url, sessionToken).catch(reject);
  });
}

function checkToken(token) {
  if (typeof token === "string" && token.trim() !== "") return;
  throw new TypeError("One Runtime: open() needs the sessionToken that your backend got for this end user.");
}

function outcome(requestId, status, { connectionId = null, integrationSlug = null, connectionName = null, error = null } = {}) {
  return { source: "one-runtime", requestId, status, connectionId, integrationSlug, connectionName, error };
}

class ConnectWindow {
  #origin;
  #requestId;
  #token = null;
  #signal;
  #resolve;
  #dialog = null;
  #panel = null;
  #frame = null;
  #shadow = null;
  #sheet = null;
  #parts = null;
  #heard = false;
  #ready = false;
  #asks = false;
  #failed = null;
  #placed = false;
  #leaving = false;
  #settled = false;
  #timers = [];
  #restore;
  #removed;
  #gone = new Promise((resolve) => (this.#removed = resolve));
  // A router or a script of the page can remove our element, or the whole body.
  #observer = new MutationObserver(() => this.#shadow.isConnected || this.#settleAndRemove(this.#outcome("cancelled")));

  constructor(url, requestId, signal, resolve) {
    this.#origin = url.origin;
    this.#requestId = requestId;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#restore = lockPage();
    this.#build();
    window.addEventListener("message", this.#onMessage);
    signal?.addEventListener("abort", this.close);
    document.addEventListener("securitypolicyviolation", this.#onViolation);
    this.#dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      if (this.#asks && !this.#settled) this.#ask();
      else this.#leave();
    });
    // If the user presses Escape twice, some browsers close the dialog without a second `cancel` event.
    this.#dialog.addEventListener("close", () => this.#leave());
    document.body.append(this.#shadow);
    for (const parent of [document, document.documentElement, document.body]) this.#observer.observe(parent, { childList: true });
    this.#dialog.showModal();
    this.#after(READY_HINT_MS, () => this.#showHint("host.slow.title", "host.slow.body"));
    // A browser also sends `load` for a frame that it blocked. Our page sends its first message before `load`.
    this.#frame.addEventListener("load", () => this.#after(HELLO_MS, () => this.#heard || this.#fail("host.load_failed")));
    window.visualViewport?.addEventListener("resize", this.#fit);
    this.#fit();
  }

  /** Keeps the popup above a phone's keyboard, which covers a part of the page. */
  #fit = () => {
    const { height, offsetTop, scale } = window.visualViewport ?? {};
    const covered = scale === 1 && height < window.innerHeight - 1;
    for (const [name, value] of [["--view-height", height], ["--view-top", offsetTop]]) {
      if (covered) this.#dialog.style.setProperty(name, `${value}px`);
      else this.#dialog.style.removeProperty(name);
    }
  };

  /**
   * Loads the frame when the page's backend has created the session. Until then, this window shows its spinner. Rejects
   * with the error of the backend, unless the user or the page has already closed this window.
   */
  async load(url, sessionToken) {
    try {
      const token = await (typeof sessionToken === "function" ? sessionToken() : sessionToken);
      if (this.#settled) return;
      checkToken(token);
      this.#token = token.trim();
      await this.#loadFrame(url);
    } catch (error) {
      if (this.#settled) return;
      this.#settled = true;
      this.#remove();
      throw error;
    }
  }

  /** The server finds the session's allowed origins by the hash of the token. */
  async #loadFrame(url) {
    // Some browsers have no `crypto.subtle` on http pages of this machine.
    const hash = await crypto.subtle?.digest("SHA-256", new TextEncoder().encode(this.#token));
    if (hash) url.searchParams.set("token_digest", hex(new Uint8Array(hash)));
    else url.searchParams.set("session_token", this.#token);
    this.#frame.src = url.href;
    this.#panel.prepend(this.#frame); // an empty frame would send `load` too
  }

  /** Closes this window for the page, as the close button does. Resolves when the window is gone. */
  close = () => {
    if (this.#heard || this.#settled) this.#leave();
    else this.#settleAndRemove(this.#outcome("cancelled"));
    return this.#gone;
  };

  /** Removes this window before the next window opens, if the user or the page has already left this window. */
  finishIfLeaving() {
    if (this.#leaving || !this.#shadow.isConnected) this.#settle(this.#outcome("cancelled"));
    if (this.#settled) this.#remove();
  }

  #onMessage = (event) => {
    if (event.source === null || event.source !== this.#frame.contentWindow || event.origin !== this.#origin) return;
    const message = event.data;
    if (typeof message !== "object" || message === null || message.requestId !== this.#requestId) return;
    this.#heard = true;
    if (message.type === "one-runtime-hello") this.#post("session", { sessionToken: this.#token });
    else if (message.type === "one-runtime-theme") this.#applyTheme((lastTheme = { scheme: message.scheme, radius: message.radius }));
    else if (message.type === "one-runtime-ready") this.#showFrame();
    else if (message.type === "one-runtime-resize") this.#resize(message.height);
    else if (message.type === "one-runtime-asks") this.#asks = message.asks === true;
    else if (message.type === "one-runtime-close" && this.#settled) this.#remove();
    else if (message.source === "one-runtime" && STATUSES.includes(message.status)) this.#onOutcome(message);
  };

  #onOutcome(message) {
    this.#settle(this.#outcome(message.status, message));
    const stays = message.status === "connected" && this.#dialog.open;
    if (stays) this.#after(SHOW_SUCCESS_MS, () => this.#remove());
    else this.#remove();
  }

  #leave() {
    if (this.#settled) return this.#remove();
    if (this.#leaving) return;
    this.#leaving = true;
    if (this.#token === null) return this.#settleAndRemove(this.#outcome("cancelled"));
    if (!this.#heard) return this.#settleAndRemove(this.#outcome("error", { error: this.#failed ?? loadError("host.load_failed", this.#origin) }));
    this.#post("cancel");
    this.#after(CANCEL_MS, () => this.#settleAndRemove(this.#outcome("cancelled")));
    this.#restorePage();
  }

  /** Asks the frame to cancel. The frame first asks the user, because the user has typed something. */
  #ask() {
    this.#frame.focus();
    this.#post("leave");
  }

  #post(type, more = {}) {
    this.#frame.contentWindow.postMessage({ source: "one-runtime-host", type, requestId: this.#requestId, ...more }, this.#origin);
  }

  #onViolation = (event) => {
    if (event.effectiveDirective === "frame-src" && event.blockedURI.startsWith(this.#origin)) this.#fail("host.frame_src");
  };

  /** Reports to the developer why the frame is empty, and stops the spinner. */
  #fail(key) {
    if (this.#ready || this.#settled || this.#failed) return;
    this.#failed = loadError(key, this.#origin);
    console.error(`One Runtime: ${this.#failed.message}`);
    this.#showHint("host.failed.title", "host.failed.body");
  }

  #settleAndRemove(outcome) {
    this.#settle(outcome);
    this.#remove();
  }

  #settle(outcome) {
    if (this.#settled) return;
    this.#settled = true;
    this.#resolve(outcome);
  }

  #outcome(status, details) {
    return outcome(this.#requestId, status, details);
  }

  #showFrame() {
    this.#ready = true;
    this.#panel.classList.add("ready");
    this.#parts.wait.inert = true;
    this.#frame.focus();
  }

  /** Draws the panel in the scheme and with the radius of the popup. */
  #applyTheme({ scheme, radius }) {
    const media = DARK_MEDIA[scheme];
    this.#sheet.replaceSync(media ? STYLE.replace(DARK, media).replace(BOTH_SCHEMES, `$1${scheme}`) : STYLE);
    this.#panel.style.setProperty("--corner", `${2 * radius}px`);
  }

  #showHint(titleKey, bodyKey) {
    if (this.#ready || this.#leaving || this.#settled) return;
    const [title, body] = this.#parts.hint.children;
    title.textContent = TEXTS[titleKey];
    body.textContent = TEXTS[bodyKey];
    this.#parts.hint.hidden = false;
    this.#parts.leave.focus();
  }

  // Center the panel by its first height. Later, keep its top in place, so that no button moves away from the pointer.
  #resize(height) {
    if (!Number.isFinite(height)) return;
    const limited = `${Math.min(Math.max(height, 240), 4_000)}px`;
    this.#panel.style.setProperty("--height", limited);
    if (!this.#placed) this.#panel.style.setProperty("--first", limited);
    this.#placed = this.#ready;
  }

  #remove() {
    if (globalThis[OPEN] === this) globalThis[OPEN] = null;
    this.#observer.disconnect();
    window.removeEventListener("message", this.#onMessage);
    document.removeEventListener("securitypolicyviolation", this.#onViolation);
    window.visualViewport?.removeEventListener("resize", this.#fit);
    this.#signal?.removeEventListener("abort", this.close);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#restorePage();
    this.#shadow.remove();
    this.#removed();
  }

  #restorePage() {
    if (this.#dialog.open) this.#dialog.close();
    this.#restore();
    this.#restore = () => {};
  }

  #after(milliseconds, callback) {
    this.#timers.push(setTimeout(callback, milliseconds));
  }

  #build() {
    this.#frame = element("iframe", { title: TEXTS["host.title"], referrerpolicy: "no-referrer" });
    // The close button has the first focus, because an empty frame does not handle Escape.
    const close = element("button", { type: "button", class: "close", "aria-label": TEXTS["host.close"], autofocus: "" }, cross());
    const leave = element("button", { type: "button", class: "leave" }, TEXTS["host.slow.close"]);
    const hint = element("div", { class: "hint", role: "alert", hidden: "" }, element("h2", {}), element("p", {}), leave);
    const wait = element("div", { class: "wait" }, hint, element("div", { class: "spinner", role: "img", "aria-label": TEXTS["host.loading"] }), close);
    this.#panel = element("div", { class: "panel" }, wait);
    this.#dialog = element("dialog", { "aria-label": TEXTS["host.title"] }, this.#panel);
    this.#parts = { hint, leave, wait };
    close.addEventListener("click", () => this.#leave());
    leave.addEventListener("click", () => this.#leave());
    // The shadow root keeps the page's styles and our styles separate.
    this.#shadow = element("div", {});
    this.#shadow.style.setProperty("display", "contents", "important");
    this.#sheet = new CSSStyleSheet();
    this.#applyTheme(lastTheme);
    const root = this.#shadow.attachShadow({ mode: "closed" });
    root.adoptedStyleSheets = [this.#sheet];
    root.append(this.#dialog);
  }
}

/** Stops the page behind the window from scrolling. Returns a function that restores the page and its focus. */
function lockPage() {
  const root = document.documentElement;
  const before = ["overflow", "padding-right"].map((name) => [name, root.style.getPropertyValue(name), root.style.getPropertyPriority(name)]);
  const width = root.clientWidth;
  const restoreFocus = rememberFocus();
  root.style.setProperty("overflow", "hidden", "important");
  const scrollbar = root.clientWidth - width; // 0 if the page reserves the scrollbar's space (scrollbar-gutter)
  if (scrollbar > 0) root.style.setProperty("padding-right", `calc(${getComputedStyle(root).paddingRight} + ${scrollbar}px)`, "important");
  return () => {
    for (const property of before) root.style.setProperty(...property);
    restoreFocus();
  };
}

let lastFocused = null;

/** Follows the page's focus: a button that the page disables before `open` has lost the focus when `open` runs. */
function followFocus() {
  if (lastFocused !== null || typeof document === "undefined") return;
  lastFocused = new WeakRef(document.body ?? document);
  document.addEventListener("focusin", ({ target }) => (lastFocused = new WeakRef(target)));
}

/** Returns a function that focuses the element that has the focus now, unless the page has moved the focus since. */
function rememberFocus() {
  const last = lastFocused.deref();
  const focused = document.activeElement === document.body && last?.matches?.(":disabled") ? last : document.activeElement;
  const isLost = () => document.activeElement === null || document.activeElement === document.body;
  const focus = () => isLost() && focused?.isConnected && focused.focus?.({ preventScroll: true });
  return () => {
    focus();
    setTimeout(focus); // the page's code after `await open()` runs first, and can enable its button
  };
}

function webAddress(address, name) {
  const page = globalThis.location?.href; // there is no page while a server renders
  const url = URL.canParse(address, page) ? new URL(address, page) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new TypeError(`One Runtime: ${name} has to be an http(s) address.`);
  }
  return url;
}

function loadError(key, address) {
  const message = TEXTS[key].replaceAll("{address}", address).replaceAll("{origin}", globalThis.location.origin);
  return { code: "load_failed", message };
}

function randomId() {
  return hex(crypto.getRandomValues(new Uint8Array(16))); // randomUUID is missing on http pages
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function cross() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", "m5 5 10 10M15 5 5 15");
  svg.append(path);
  return svg;
}
