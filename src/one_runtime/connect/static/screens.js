// Builds the screens of the popup from elements. A screen calls its callbacks, and sends no requests and no messages.
import { el, hasText, icon, leavingLink, logo, rich, sentence, shown, text } from "./dom.js";
import { followList } from "./list.js";

const HEADING = "heading";

/** Returns the heading: two logos, the request as a sentence, and the end user. */
function head(view, { done = false } = {}) {
  const organization = view.organization.display_name;
  const integration = view.integration.name;
  const account = view.auth_types.some((auth) => auth.auth_type !== "none");
  const key = !account ? "head.plain" : view.reconnect ? "head.reconnect" : "head.connect";
  const pair = el(
    "div",
    { class: "pair" },
    logo(view.integration.logo_url, integration, "integration"),
    el("span", { class: "thread", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
    organizationLogo(view),
  );
  if (done) return pair;
  return el(
    "header",
    { class: "head" },
    pair,
    el("h1", { id: HEADING, tabindex: "-1" }, rich(key, { organization, integration })),
    forWhom(view),
  );
}

function organizationLogo({ organization }) {
  return logo(organization.logo_url, organization.display_name, "organization", organization.logo_dark_url);
}

function forWhom(view) {
  const { name, email } = view.end_user ?? {};
  if (!name && !email) return null;
  return el("p", { class: "person" }, name && email ? sentence("head.for_both", { name, email }) : sentence("head.for", { person: name || email }));
}

function foot(view, key) {
  const organization = view.organization.display_name;
  const privacy = leavingLink(view.organization.privacy_url, text("foot.privacy", { organization }));
  const promise = sentence(key, { organization, integration: view.integration?.name ?? "" });
  return el("footer", { class: "foot" }, el("p", {}, icon("lock"), el("span", {}, promise)), privacy);
}

/** Returns the bar at the top: the close button, and a back button if there is a previous screen. */
export function bar({ onClose, onBack = null, closeLabel = "action.close" }) {
  const back = onBack
    ? el("button", { type: "button", class: "bar-button back", "aria-label": text("action.back") }, icon("left"))
    : null;
  const close = el("button", { type: "button", class: "bar-button close", "aria-label": text(closeLabel) }, icon("close"));
  back?.addEventListener("click", onBack);
  close.addEventListener("click", onClose);
  return el("div", { class: "bar" }, back, close);
}

/** Returns the screen with the form of one auth type. */
export function formScreen(view, form) {
  const { auth_type, fields, checked } = form.auth;
  const promise = auth_type === "oauth2" ? "foot.authorization" : fields.length === 0 ? "foot.none" : checked ? "foot.stored" : "foot.unchecked";
  return [head(view), form.node, foot(view, promise)];
}

/** The id of the heading that labels the form. */
export const headingId = HEADING;

const CHOICE_ICONS = { oauth2: "person", none: "open" };

/** Returns the screen on which the end user selects one of several auth types. */
export function choiceScreen(view, onChoose) {
  const integration = view.integration.name;
  const items = view.auth_types.map((auth) => {
    const title = auth.label || (hasText(`choice.${auth.auth_type}`) ? text(`choice.${auth.auth_type}`) : auth.auth_type);
    const key = hasText(`choice.${auth.auth_type}.help`) ? `choice.${auth.auth_type}.help` : "choice.other.help";
    const help = auth.fields.length > 1 ? auth.fields.map(({ label }) => label).join(" · ") : text(key, { integration });
    return row({ title, help, icon: icon(CHOICE_ICONS[auth.auth_type] ?? "key") }, () =>
      onChoose(auth),
    );
  });
  return [
    head(view),
    el("section", { class: "choice" }, el("h2", { id: "choice" }, text("choice.title")), el("ul", { class: "rows", "aria-labelledby": "choice" }, items)),
    foot(view, "foot.unchecked"),
  ];
}

function row({ title, help, icon: drawing, mark = null, value = null }, onClick) {
  const words = el("span", { class: "row-words" }, el("span", { class: "row-title" }, title), help ? el("span", { class: "row-help" }, help) : null);
  const button = el("button", { type: "button", class: "row", value }, drawing, words, mark);
  button.addEventListener("click", onClick);
  return el("li", {}, button);
}

/** Returns the screen with the list of integrations, for a session that names no integration. `find`: see `followList`. */
export function pickScreen(view, find, onPick) {
  const organization = view.organization.display_name;
  const rows = view.integrations.map(({ slug, name, description, category, logo_url, connected, rank }) => {
    const mark = connected ? el("span", { class: "mark" }, icon("check"), text("pick.connected")) : null;
    const node = row({ title: name, help: description, icon: logo(logo_url, name, "small"), mark, value: slug }, () => onPick(slug));
    node.dataset.category = category;
    if (rank !== null) node.dataset.rank = rank;
    return node;
  });
  const categories = [...new Set(view.integrations.map(({ category }) => category))].sort();
  const search = el("input", { type: "search", id: "search", maxlength: 200, autocomplete: "off", spellcheck: "false", placeholder: text("pick.search") });
  const select = el(
    "select",
    { id: "category", autocomplete: "off" },
    el("option", { value: "" }, text("pick.all")),
    categories.map((category) => el("option", {}, category)),
  );
  const label = (of, key) => el("label", { for: of, class: "sr-only" }, text(key));
  const picker = el(
    "div",
    { class: "picker" },
    el("div", { class: "control search" }, icon("search"), label("search", "pick.search"), search, label("category", "pick.category"), select, icon("down")),
    el("ul", { class: "rows picks", "aria-label": text("pick.list") }, rows),
    el("div", { class: "empty", hidden: true }, el("p"), el("button", { type: "button", class: "secondary" }, text("pick.everything"))),
    el("p", { class: "sr-only", role: "status" }),
  );
  followList(picker, find);
  return [
    el("header", { class: "head head-pick" }, organizationLogo(view), el("h1", { id: HEADING, tabindex: "-1" }, rich("pick.title", { organization })), forWhom(view)),
    picker,
  ];
}

/** Returns the screen on which the end user decides if another account replaces the connected account. */
export function replaceScreen(question, { onReplace, onKeep }) {
  const replace = el("button", { type: "button", class: "primary" }, text("replace.confirm"));
  const keep = el("button", { type: "button", class: "secondary" }, text("replace.keep"));
  replace.addEventListener("click", onReplace);
  keep.addEventListener("click", onKeep);
  return [
    el(
      "section",
      { class: "notice" },
      icon("notice"),
      el("h1", { id: HEADING, tabindex: "-1" }, text("replace.title")),
      el("p", {}, question),
      el("div", { class: "actions" }, replace, keep),
    ),
  ];
}

/** Returns the screen on which the end user selects one of several connections, or adds an account. */
export function whichScreen(view, connections, onSelect) {
  const integration = view.integration.name;
  const rows = connections.map(({ id, name, status, created_at }) => {
    const help = text(`which.${status}`, { date: created_at.slice(0, 10) });
    return row({ title: el("bdi", {}, shown(name)), help, icon: icon("person"), value: id }, () => onSelect(id));
  });
  rows.push(row({ title: text("which.add"), icon: icon("plus") }, () => onSelect("add")));
  return [
    el(
      "header",
      { class: "head" },
      head(view, { done: true }),
      el("h1", { id: HEADING, tabindex: "-1", "aria-describedby": "which" }, text("which.title", { integration })),
      el("p", { class: "person", id: "which" }, text("which.body", { integration })),
    ),
    el("ul", { class: "rows", "aria-labelledby": HEADING }, rows),
  ];
}

/** Returns the screen that asks the user before the popup closes. */
export function leaveScreen({ onLeave, onStay }) {
  const leave = el("button", { type: "button", class: "secondary" }, text("leave.confirm"));
  const stay = el("button", { type: "button", class: "primary" }, text("leave.stay"));
  leave.addEventListener("click", onLeave);
  stay.addEventListener("click", onStay);
  return [
    el(
      "section",
      { class: "notice" },
      icon("notice"),
      el("h1", { id: HEADING, tabindex: "-1" }, text("leave.title")),
      el("p", {}, text("leave.body")),
      el("div", { class: "actions" }, stay, leave),
    ),
  ];
}

const WAITING = {
  open: ["waiting.title", "waiting.body"],
  blocked: ["waiting.blocked.title", "waiting.blocked.body"],
  closed: ["waiting.closed.title", "waiting.closed.body"],
  mismatch: ["waiting.mismatch.title", "waiting.mismatch.body"],
};

/**
 * Returns the screen for the time when the provider's window is open.
 *
 * `state`: `open`; `blocked`, which shows a link that opens the window; `closed`, if the window seems to be closed; or
 * `mismatch`, if a browser without our cookie has returned from the provider.
 */
export function waitingScreen(view, { address, state, onReopen, onLink }) {
  const integration = view.integration.name;
  const blocked = state === "blocked";
  const [title, body] = WAITING[state];
  const again = blocked
    ? el("a", { class: "primary", href: address, target: "_blank", rel: "opener" }, text("action.open", { integration }))
    : el("button", { type: "button", class: state === "open" ? "secondary" : "primary" }, text("action.reopen"));
  again.addEventListener("click", blocked ? onLink : onReopen);
  return [
    el(
      "section",
      { class: state === "open" ? "notice waiting" : "notice" },
      head(view, { done: true }),
      el("h1", { id: HEADING, tabindex: "-1" }, text(title, { integration })),
      el("p", { role: "status" }, text(body, { integration })),
      again,
    ),
    foot(view, "foot.authorization"),
  ];
}

/** Returns the screen after a successful connection. */
export function doneScreen(view, connection, onDone) {
  const values = { organization: view.organization.display_name, integration: view.integration.name };
  const name = connection.connection_name;
  const heading = el("h1", { id: HEADING, tabindex: "-1", "aria-describedby": "done" }, text("done.title"));
  const done = el("button", { type: "button", class: "primary" }, text("action.done"));
  done.addEventListener("click", onDone);
  heading.addEventListener("keydown", ({ key }) => key === "Enter" && onDone());
  return [
    el(
      "div",
      { class: "done" },
      head(view, { done: true }),
      icon("done"),
      heading,
      el("p", { id: "done" }, sentence("done.body", values)),
      name && name !== values.integration ? el("p", { class: "account" }, el("bdi", {}, shown(name))) : null,
      done,
    ),
  ];
}

/** Returns a notice, built from the page's template. The server's notices have the same markup. */
export function noticeScreen(kind, organization, action = null) {
  const node = document.getElementById("notice").content.cloneNode(true);
  const values = { organization: organization || text("notice.app") };
  node.querySelector("h1").textContent = text(`notice.${kind}.title`, values);
  node.querySelector("p").textContent = text(`notice.${kind}.body`, values);
  const screen = node.querySelector(".notice");
  if (action) {
    const button = el("button", { type: "button", class: action.primary ? "primary" : "secondary" }, text(action.label));
    button.addEventListener("click", action.onClick);
    screen.append(button);
  }
  return [screen];
}
