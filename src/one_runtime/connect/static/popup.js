// The popup. The script removes the token from the address bar, loads the view, and shows the form. After the end user
// has connected, the script reports the outcome to the embedding page.
import { Api, Offline, Problem } from "./api.js";
import { Authorizations } from "./authorization.js";
import { hasText, text } from "./dom.js";
import { AuthForm } from "./form.js";
import { Host } from "./host.js";
import { bar, choiceScreen, doneScreen, formScreen, headingId, leaveScreen, noticeScreen, pickScreen, replaceScreen, waitingScreen, whichScreen } from "./screens.js";

// Maps an error code of the server to the notice of the ended session, and to the code for the embedding page.
const ENDINGS = {
  session_expired: { notice: "expired", code: "session_expired" },
  session_used: { notice: "used", code: "session_used" },
  session_cancelled: { notice: "cancelled", code: null },
  too_many_attempts: { notice: "attempts", code: "too_many_attempts" },
  no_allowed_origins: { notice: "no_origins", code: "no_allowed_origins" },
  session_unknown: { notice: "unknown", code: "session_unknown" },
  window_unavailable: { notice: "window", code: "window_unavailable" },
};
const ENDING_OF_STATE = {
  expired: "session_expired",
  used: "session_used",
  cancelled: "session_cancelled",
  no_origins: "no_allowed_origins",
  failed: "too_many_attempts",
  unknown: "session_unknown",
};
const ENDING_OF_STATUS = { 401: "session_unknown", 404: "session_unknown", 410: "session_expired" };

// Time that a cancel waits for a pending connect request, which can succeed first. The embedding page waits two seconds
// for the cancel.
const CANCEL_GRACE_MS = 500;

const shell = document.body.dataset;
const card = document.getElementById("card");

/** Returns the token and the request id: from the URL at first, and from `history.state` after a reload. */
function takeToken() {
  const address = new URLSearchParams(location.search);
  const stored = history.state ?? {};
  const token = address.get("session_token") ?? stored.sessionToken ?? null;
  const requestId = (address.get("request_id") ?? stored.requestId ?? "").slice(0, 200);
  keepToken(token, requestId);
  return { token, requestId };
}

function keepToken(token, requestId) {
  const rest = new URLSearchParams({ session: shell.session, request_id: requestId });
  history.replaceState({ sessionToken: token, requestId }, "", `${location.pathname}?${rest}`);
}

class Popup {
  #api;
  #host;
  #authorizations;
  #view = null;
  #list = null;
  #slug = null;
  #scrolled = 0;
  #forms = new Map();
  #connecting = null;
  #leave = () => this.#cancel();
  #over = false;
  #question = null;
  #shown = false;
  #focused = null;

  constructor(token, host) {
    this.#api = new Api(shell.base, token, shell.session);
    this.#authorizations = new Authorizations(this.#api, `${shell.base}/connect/authorization?theme=${shell.theme}&locale=${document.documentElement.lang}#${shell.session}`);
    this.#host = host;
    this.#host.onLeave(() => this.#leave(), () => this.#exit());
    this.#host.followHeight(card.parentElement);
    this.#keepFocus();
    document.addEventListener("keydown", (event) => {
      // While an input method composes a character, Escape ends only the composition.
      if (event.key === "Escape" && !event.isComposing && !event.defaultPrevented) this.#exit();
    });
    for (const type of ["input", "change"]) card.addEventListener(type, () => this.#reportAsks());
  }

  /** The user presses Escape or the close button. Asks first if the user would lose something. */
  #exit() {
    if (this.#question) this.#question.stay();
    else if (this.#losesSomething()) this.#askToLeave();
    else this.#leave();
  }

  #losesSomething() {
    if (this.#over) return false;
    return this.#authorizations.isWaiting || [...this.#forms.values()].some((form) => form.isChanged);
  }

  #askToLeave() {
    const before = [...card.childNodes];
    const focused = document.activeElement;
    const stay = () => {
      this.#question = null;
      card.replaceChildren(...before);
      this.#focus(focused.isConnected && focused !== document.body ? focused : card.querySelector("h1"));
      this.#reportAsks();
    };
    this.#show(leaveScreen({ onLeave: () => this.#leave(), onStay: stay }), null, null);
    this.#question = { stay };
    this.#reportAsks();
    this.#focusHeading();
  }

  #reportAsks() {
    this.#host.setAsks(this.#question !== null || this.#losesSomething());
  }

  // When the embedding page focuses the frame, some browsers focus the document. Then focus the last element again.
  #keepFocus() {
    window.addEventListener("focus", () => {
      if (document.activeElement === document.body && this.#focused?.isConnected) this.#focused.focus({ preventScroll: true });
    });
  }

  /** Shows the notice for the session's state, which the server wrote into the page. */
  showState(state) {
    this.#end(ENDING_OF_STATE[state] ?? "session_unknown");
  }

  async load(slug = null) {
    try {
      this.#view = await this.#api.view(slug);
    } catch (error) {
      return this.#fail(error, () => this.load(slug), slug === null ? null : () => this.#backToList(slug));
    }
    this.#slug = slug;
    if (this.#view.integration !== null) return this.#ask(slug === null ? null : () => this.#backToList());
    return this.#pick(pickScreen(this.#view, (query, signal) => this.#api.search(query, signal), (picked) => this.#busyUntil(() => this.#leaveList(picked))));
  }

  #leaveList(picked) {
    this.#scrolled = card.querySelector(".picks").scrollTop;
    return this.load(picked);
  }

  #pick(screen) {
    this.#list = screen;
    this.#show(screen);
    this.#focus(card.querySelector("input"));
  }

  /** Shows the list again, with the same search and scroll position, and focuses the picked integration. */
  #backToList(picked = this.#slug) {
    this.#leave = () => this.#cancel();
    document.title = text("head.list");
    this.#pick(this.#list);
    card.querySelector(".picks").scrollTop = this.#scrolled;
    this.#focus(card.querySelector(`[value="${CSS.escape(picked)}"]`));
  }

  #ask(onBack) {
    document.title = text("head.title", { integration: this.#view.integration.name });
    const types = this.#view.auth_types;
    if (types.length === 1) return this.#form(types[0], onBack);
    this.#show(choiceScreen(this.#view, (auth) => this.#choose(auth, () => this.#ask(onBack))), onBack);
    this.#focusHeading();
  }

  /** Shows the form of the selected auth type. A form without fields would only ask for another click. */
  #choose(auth, onBack) {
    const form = this.#formOf(auth, onBack);
    if (auth.auth_type === "oauth2" && form.fields.length === 0) this.#authorize(form, form.request(), onBack, onBack);
    else this.#form(auth, onBack);
  }

  #formOf(auth, onBack) {
    const key = `${this.#view.integration.slug} ${auth.auth_type}`;
    if (!this.#forms.has(key)) {
      this.#forms.set(key, new AuthForm(this.#view, auth, headingId, (request) => this.#submit(this.#forms.get(key), request, onBack)));
    }
    return this.#forms.get(key);
  }

  #form(auth, onBack) {
    const form = this.#formOf(auth, onBack);
    this.#show(formScreen(this.#view, form), onBack);
    this.#focus(form.firstControl);
  }

  #submit(form, request, onBack) {
    return form.auth.auth_type === "oauth2" ? this.#authorize(form, request, onBack) : this.#connect(form, request, onBack);
  }

  /** Must run during a click: browsers open the provider's window only then. `leave`: shows the previous screen. */
  async #authorize(form, request, onBack, leave = () => this.#form(form.auth, onBack)) {
    const authorization = this.#authorizations.begin(this.#slug ? { ...request, integration_slug: this.#slug } : request);
    const back = () => {
      this.#authorizations.stop();
      leave();
    };
    const onReopen = () => this.#authorize(form, request, onBack, leave);
    const onLink = () => authorization.waitForWindow(() => wait("open"), () => this.#end("window_unavailable"));
    let shown = null;
    const wait = (state) => {
      if (state === shown) return;
      shown = state;
      if (state === "policy") return this.#refuseWindow(onBack === null ? null : back);
      this.#show(waitingScreen(this.#view, { address: this.#authorizations.address, state, onReopen, onLink }), back);
      this.#focusHeading();
    };
    if (!authorization.blocked) authorization.waitForWindow(() => wait("open"), () => wait("blocked"));
    wait(authorization.blocked ? "blocked" : "open");
    let outcome;
    try {
      outcome = await authorization.outcome(wait);
    } catch (error) {
      if (this.#host.reported) return;
      this.#authorizations.stop();
      this.#form(form.auth, onBack);
      return this.#refuse(form, error);
    }
    if (outcome === null || this.#host.reported) return;
    this.#authorizations.stop();
    if (outcome.state === "connected") return this.#succeed(outcome.connection);
    this.#form(form.auth, onBack);
    form.showProblem(this.#words(outcome.text), outcome.provider_reason);
  }

  /** The page does not let a window reach this popup. `back`: shows the other ways to connect, or null without any. */
  #refuseWindow(back) {
    const message = text("message.opener_policy");
    console.error(`One Runtime: ${message}`);
    this.#authorizations.stop();
    this.#leave = () => this.#host.report("error", { error: { code: "window_unavailable", message } });
    const action = { label: "action.dismiss", onClick: () => this.#leave() };
    const onBack = back && (() => {
      this.#leave = () => this.#cancel();
      back();
    });
    this.#show(noticeScreen("opener_policy", this.#view.organization.display_name, action), onBack, "action.dismiss");
    this.#focusHeading();
  }

  async #connect(form, request, onBack) {
    form.setBusy(true);
    card.querySelector(".back")?.setAttribute("disabled", "");
    this.#connecting = this.#api.connect(this.#slug ? { ...request, integration_slug: this.#slug } : request);
    try {
      this.#succeed(await this.#connecting);
    } catch (error) {
      form.setBusy(false);
      card.querySelector(".back")?.removeAttribute("disabled");
      if (this.#host.reported) return;
      if (error.code === "account_mismatch") this.#askToReplace(form, request, error, onBack);
      else if (error.code === "several_connections") this.#askWhich(form, request, error.connections, onBack);
      else this.#refuse(form, error);
    } finally {
      this.#connecting = null;
    }
  }

  /** Asks if another account replaces the connected account. The answer repeats the question of the server. */
  #askToReplace(form, request, { detail, text: question }, onBack) {
    const back = () => this.#form(form.auth, onBack);
    const onReplace = () => {
      back();
      this.#submit(form, { ...request, replace_account: detail }, onBack);
    };
    this.#show(replaceScreen(this.#words(question), { onReplace, onKeep: back }), back);
    this.#focusHeading();
  }

  /** Asks which of several connections the credential belongs to. The form keeps the typed values. */
  #askWhich(form, request, connections, onBack) {
    const back = () => this.#form(form.auth, onBack);
    const onSelect = (connection) => {
      back();
      this.#submit(form, { ...request, connection }, onBack);
    };
    this.#show(whichScreen(this.#view, connections, onSelect), back);
    this.#focusHeading();
  }

  #succeed(connection) {
    this.#host.report("connected", { connection });
    this.#over = true;
    this.#leave = () => this.#host.close();
    this.#show(doneScreen(this.#view, connection, this.#leave), null, null);
    this.#focusHeading();
  }

  /** Shows the reason for a failed attempt in the form. The form keeps the typed values. */
  #refuse(form, error) {
    if (error instanceof Offline) return form.showProblem(text("problem.offline"));
    if (!(error instanceof Problem)) throw error;
    const ending = endingOf(error);
    if (ending) return this.#end(ending);
    const messages = Object.entries(error.fieldTexts).map(([path, message]) => [path, this.#words(message)]);
    if (messages.length > 0 && form.showFieldErrors(Object.fromEntries(messages))) return undefined;
    return form.showProblem(this.#words(error.text), error.reason);
  }

  /** Returns a text that the server has selected. A gateway's error page has none. */
  #words(selected) {
    if (!hasText(selected?.name ?? "")) return text("problem.other");
    const values = { integration: this.#view.integration.name, organization: this.#view.organization.display_name };
    return text(selected.name, { ...values, ...selected.values });
  }

  /** Shows that the session could not be loaded. `again`: the function that loads it again. `onBack`: shows the list. */
  #fail(error, again, onBack) {
    const ending = error instanceof Problem ? endingOf(error) : null;
    if (ending) return this.#end(ending);
    this.#leave = () => this.#cancel();
    const kind = error instanceof Offline ? "offline" : "broken";
    const action = { label: "action.retry", primary: true, onClick: () => this.#busyUntil(again) };
    this.#show(noticeScreen(kind, shell.organization, action), onBack);
    this.#focusHeading();
  }

  #busyUntil(again) {
    if (card.getAttribute("aria-busy") === "true") return undefined;
    card.querySelector("button.primary")?.setAttribute("aria-disabled", "true");
    card.setAttribute("aria-busy", "true");
    return again();
  }

  #end(ending) {
    const { notice, code } = ENDINGS[ending];
    this.#authorizations.stop();
    this.#over = true;
    const error = code === null ? null : { code, message: text(`message.${code}`) };
    this.#leave = () => this.#host.report(error ? "error" : "cancelled", { error });
    const action = { label: "action.dismiss", onClick: () => this.#leave() };
    const name = this.#view?.organization.display_name ?? shell.organization;
    this.#show(noticeScreen(notice, name, action), null, "action.dismiss");
    this.#focusHeading();
  }

  /** Cancels the session. If a connect request is pending, only the request that the server completes first counts. */
  async #cancel() {
    this.#leave = () => {};
    this.#over = true;
    this.#authorizations.stop();
    const attempt = this.#connecting;
    await this.#api.cancel().catch(() => {}); // if the server is unreachable, the session expires by itself
    if (attempt) await Promise.race([attempt.catch(() => {}), pause(CANCEL_GRACE_MS)]);
    this.#host.report("cancelled");
  }

  #show(nodes, onBack = null, closeLabel = "action.close") {
    const top = closeLabel === null ? [] : [bar({ onClose: () => this.#exit(), onBack, closeLabel })];
    this.#question = null;
    card.replaceChildren(...top, ...nodes);
    card.removeAttribute("aria-busy");
    scrollTo(0, 0);
    this.#reportAsks();
    if (this.#shown) return;
    this.#shown = true;
    this.#host.ready();
  }

  #focusHeading() {
    this.#focus(card.querySelector("h1"));
  }

  /** Focuses a control. Without a mouse, focuses the heading instead of a field: a field opens a keyboard. */
  #focus(control) {
    const typed = control.matches("input, select");
    const target = typed && !matchMedia("(pointer: fine)").matches ? card.querySelector("h1") : control;
    this.#focused = target;
    target.focus({ preventScroll: true });
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function endingOf(problem) {
  if (Object.hasOwn(ENDINGS, problem.code)) return problem.code;
  return ENDING_OF_STATUS[problem.status] ?? null;
}

async function start() {
  const { token, requestId } = takeToken();
  if (shell.state === "top_level") return;
  if (window.top === window) {
    if (shell.state !== "open") return; // the server has already rendered the notice for this state
    card.replaceChildren(...noticeScreen("top_level", shell.organization));
    card.removeAttribute("aria-busy");
    return;
  }
  const host = new Host(JSON.parse(shell.origins), requestId);
  host.sendTheme(shell.scheme, Number(shell.radius));
  const sessionToken = token ?? (await host.requestToken());
  keepToken(sessionToken, requestId);
  const popup = new Popup(sessionToken, host);
  if (shell.state !== "open") popup.showState(shell.state);
  else if (sessionToken === null) popup.showState("unknown");
  else popup.load();
}

start();
