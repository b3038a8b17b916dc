// Fernhill's integrations page. The page calls only Fernhill's backend, and loads only connect.js from One Runtime.
import { showAgentLink } from "./agent_link.js";
import { prepareAgents, reset as resetAgents } from "./agents.js";
import { ask, BackendError } from "./backend.js";
import { connect as connectIn } from "./connecting.js";
import { copy, copyRow, hidden } from "./copying.js";
import { follow } from "./events.js";
import { show as showRequests, unpack } from "./requests.js";

const facts = JSON.parse(document.getElementById("facts").textContent);
const $ = (id) => document.getElementById(id);

const ANOTHER = "another";

let endUser = facts.end_user_id;
let integrations = null; // null: not loaded yet
let loads = 0;
let unfolded = false; // true: the page shows every integration, and not only the popular ones
const mainButtons = new Map(); // by slug; one button for Connect and Disconnect, so that the button keeps the focus

// ---- the list --------------------------------------------------------------------------------------------------

async function load() {
  const turn = ++loads;
  try {
    const answer = await ask("GET", "/api/integrations");
    if (turn !== loads) return; // a newer load has started, for example for another end user
    integrations = answer.integrations;
    complain(null);
  } catch (error) {
    if (turn !== loads) return;
    integrations ??= [];
    complain(error.message, load);
  }
  fillCategories();
  render();
}

// ---- connecting and disconnecting ------------------------------------------------------------------------------

async function connect(integration, button) {
  complain(null);
  try {
    const { status, slug, sentence } = await connectIn(integration, nameOf(endUser), facts.one_runtime_url);
    if (status === "connected") await connected(slug);
    else if (status === "error") complain(sentence ?? "That did not work. Please try again.");
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    complain(error.message);
  }
  button.focus({ preventScroll: true });
}

async function disconnect(integration, button) {
  if (await confirmed(integration)) {
    try {
      await ask("POST", "/api/disconnect", { integration_slug: integration.slug });
      await changed(integration.slug, "disconnected");
    } catch (error) {
      complain(error.message);
    }
  }
  (button.isConnected ? button : mainButtons.get(integration.slug)).focus({ preventScroll: true });
}

const connected = (slug) => changed(slug, "connected");

async function changed(slug, what) {
  await load();
  toast(`${integrations.find((one) => one.slug === slug)?.name ?? slug} is ${what}.`);
  const card = document.querySelector(`.card[data-slug="${CSS.escape(slug)}"]`);
  card?.classList.add("fresh");
  card?.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

/** Shows the outcome after the browser returned from One Runtime to /connected. The backend has redeemed the code. */
async function comeBack({ status, integration_slug: slug, sentence, requests }) {
  history.replaceState(null, "", "/"); // a reload must not send the code again
  showRequests(requests);
  if (status === "connected") return connected(slug);
  await load();
  return status === "cancelled" ? toast(sentence) : complain(sentence);
}

/** Shows the request of an agent whose link the end user has opened. */
function openAgentLink(link) {
  showRequests(link.requests);
  const name = integrations.find((one) => one.slug === link.integration_slug)?.name ?? link.integration_slug;
  showAgentLink(link, name, facts.one_runtime_url, connected);
}

function confirmed(integration) {
  const dialog = $("confirm");
  $("confirm-title").textContent = `Disconnect ${integration.name}?`;
  const account = accountOf(integration);
  const whose = account ? `the ${integration.name} account of ${account}` : `your ${integration.name} account`;
  $("confirm-text").textContent = `Fernhill will no longer have access to ${whose}. You can connect it again at any time.`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "disconnect"), { once: true });
  });
}

// ---- the cards -------------------------------------------------------------------------------------------------

const isConnected = (integration) => integration.status === "connected";
const broken = (integration) => integration.connections?.find((one) => one.status === "needs_reauth") ?? null;
const needsAttention = (integration) => !isConnected(integration) && broken(integration) !== null;

/** Returns the names of an integration's accounts ("Globex Corporation"), or null if no account has a name. */
function accountOf(integration) {
  const labels = (integration.connections ?? []).map((one) => one.account?.label).filter(Boolean);
  return labels.length ? [...new Set(labels)].join(", ") : null;
}

function render() {
  const shown = (integrations ?? []).filter(matches);
  const connected = shown.filter((one) => isConnected(one) || needsAttention(one));
  const available = shown.filter((one) => !isConnected(one) && !needsAttention(one));
  const failed = !$("notice").hidden;
  const filtered = Boolean($("search").value.trim() || $("category").value);
  const popular = filtered || unfolded ? available : popularOf(available);
  fill($("connected"), connected);
  fill($("available"), popular);
  $("show-all").hidden = popular.length === available.length;
  $("show-all").textContent = `Show all ${available.length} integrations`;
  $("connected-count").textContent = connected.length || "";
  $("available-count").textContent = available.length || "";
  const anyConnected = integrations.some((one) => isConnected(one) || needsAttention(one));
  $("nothing-connected").hidden = anyConnected || failed || filtered || !facts.acme_keys.length;
  $("connected-section").hidden = !connected.length && $("nothing-connected").hidden;
  $("no-match").hidden = shown.length > 0 || failed;
  $("available-section").hidden = !available.length && $("no-match").hidden;
  $("main").removeAttribute("aria-busy");
}

/** Returns the popular integrations, the best known first, or all integrations if only few of them are popular. */
function popularOf(available) {
  const bySlug = new Map(available.map((integration) => [integration.slug, integration]));
  const popular = facts.popular.map((slug) => bySlug.get(slug)).filter(Boolean);
  return popular.length < 9 ? available : popular;
}

function fill(list, some) {
  list.replaceChildren(...some.map(card));
}

function card(integration) {
  const item = $("card-template").content.cloneNode(true).firstElementChild;
  const at = (selector) => item.querySelector(selector);
  item.dataset.slug = integration.slug;
  item.setAttribute("aria-label", integration.name);
  at("h3").textContent = integration.name;
  at(".category").textContent = integration.category;
  at(".description").textContent = integration.description;
  logo(at(".logo"), integration);
  if (isConnected(integration)) connectedFoot(item, integration);
  else if (needsAttention(integration)) attentionFoot(item, integration);
  else at(".actions").append(mainButton("Connect", "button", integration, connect));
  return item;
}

function connectedFoot(item, integration) {
  compact(item, "connected", accountOf(integration) ?? "Connected");
  item.querySelector(".actions").append(mainButton("Disconnect", "button quiet", integration, disconnect));
}

function attentionFoot(item, integration) {
  compact(item, "attention", broken(integration).error?.message ?? "Needs to be connected again");
  item.querySelector(".actions").append(
    action(document.createElement("button"), "Disconnect", "button quiet", integration, disconnect),
    mainButton("Reconnect", "button", integration, connect),
  );
}

/** Replaces the description on an integration's card by the state of the connection. */
function compact(item, kind, state) {
  item.classList.add("compact", kind);
  item.querySelector(".category").replaceWith(item.querySelector(".state"));
  item.querySelector(".state").textContent = state;
  item.querySelector(".description").remove();
}

function mainButton(text, classes, integration, act) {
  const { slug } = integration;
  if (!mainButtons.has(slug)) mainButtons.set(slug, document.createElement("button"));
  return action(mainButtons.get(slug), text, classes, integration, act);
}

function action(button, text, classes, integration, act) {
  button.type = "button";
  button.className = classes;
  button.replaceChildren(text, hidden(` ${integration.name}`));
  button.onclick = whileBusy(button, () => act(integration, button));
  return button;
}

/** Uses aria-disabled, because a disabled button cannot have the focus. The popup returns the focus to the button. */
function whileBusy(button, act) {
  return async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    await act(button);
    button.removeAttribute("aria-disabled");
  };
}

function logo(place, integration) {
  const image = place.querySelector("img");
  const monogram = () => place.replaceChildren(integration.name.slice(0, 1));
  if (!integration.logo_url) {
    monogram();
    return;
  }
  image.addEventListener("error", monogram, { once: true });
  image.src = integration.logo_url;
}

function skeletons() {
  $("main").setAttribute("aria-busy", "true");
  for (const id of ["nothing-connected", "no-match", "connected-section"]) $(id).hidden = true;
  $("available-section").hidden = false;
  $("connected-count").textContent = $("available-count").textContent = "";
  const blanks = Array.from({ length: 6 }, () => document.createElement("li"));
  for (const blank of blanks) {
    blank.className = "card skeleton";
    blank.setAttribute("aria-hidden", "true");
  }
  $("available").replaceChildren(...blanks);
}

// ---- search, category, end user --------------------------------------------------------------------------------

function matches({ name, slug, description, category }) {
  const wanted = $("category").value;
  if (wanted && wanted !== category) return false;
  const text = `${name} ${slug} ${description} ${category}`.toLowerCase();
  return $("search").value.trim().toLowerCase().split(/\s+/u).every((word) => text.includes(word));
}

function fillCategories() {
  const select = $("category");
  const before = select.value;
  const names = [...new Set(integrations.map((one) => one.category))].sort();
  select.replaceChildren(new Option("All categories", ""), ...names.map((name) => new Option(name, name)));
  select.value = names.includes(before) ? before : "";
}

const nameOf = (id) => facts.end_users.find((one) => one.id === id)?.name ?? id;

function fillEndUsers() {
  const known = facts.end_users.map(({ id, name }) => new Option(`${name} (${id})`, id));
  if (!facts.end_users.some(({ id }) => id === endUser)) known.push(new Option(endUser, endUser));
  $("end-user").replaceChildren(...known, new Option("Another end user…", ANOTHER));
  $("end-user").value = endUser;
  $("other").hidden = true;
}

async function choose(id) {
  try {
    ({ end_user_id: endUser } = await ask("POST", "/api/sign-in", { end_user_id: id }));
    windows.postMessage(null);
  } catch (error) {
    complain(error.message);
    return;
  } finally {
    fillEndUsers();
  }
  complain(null);
  resetAgents();
  integrations = null; // if loading fails, the next end user must not see the previous user's integrations
  skeletons();
  load();
}

function clearFilters() {
  $("search").value = "";
  $("category").value = "";
  render();
  $("search").focus();
}

// ---- messages --------------------------------------------------------------------------------------------------

function complain(sentence, again) {
  const notice = $("notice");
  notice.hidden = !sentence;
  notice.textContent = sentence ?? "";
  if (sentence) notice.scrollIntoView({ block: "nearest" });
  if (!sentence || !again) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet";
  button.textContent = "Try again";
  button.addEventListener("click", () => {
    skeletons();
    again();
  });
  notice.append(button);
}

let toastTimer;

function toast(sentence) {
  $("toast").textContent = sentence;
  $("toast").classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), 4000);
}

// All windows of this browser share the cookie with the signed-in end user. After a change, the other windows reload. A
// page that the browser restores from its cache also reloads, because the end user can be another one.
const windows = new BroadcastChannel("signed-in");
windows.addEventListener("message", () => location.reload());
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

$("end-user").addEventListener("change", (event) => {
  if (event.target.value !== ANOTHER) {
    choose(event.target.value);
    return;
  }
  $("other").hidden = false;
  $("other-id").focus();
});
$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = $("other-id").value.trim();
  if (id && !$("other").hidden) choose(id);
});
$("search").addEventListener("input", () => integrations && render());
$("category").addEventListener("change", () => integrations && render());
$("clear").addEventListener("click", clearFilters);
$("show-all").addEventListener("click", () => {
  const shown = $("available").children.length;
  unfolded = true;
  render();
  $("available").children[shown]?.querySelector("button")?.focus({ preventScroll: true });
});
$("browse").onclick = whileBusy($("browse"), (button) => connect(null, button));
$("copy-first-key").addEventListener("click", (event) => copy(facts.acme_keys[0].key, event.currentTarget));

$("first-key").textContent = facts.acme_keys[0]?.key ?? "";
$("keys").replaceChildren(...facts.acme_keys.map(({ account, key }) => copyRow(account, key, `the key of ${account}`)));
fillEndUsers();
skeletons();
unpack();
follow();
prepareAgents(load);
if (facts.returned) comeBack(facts.returned);
else load().then(() => facts.agent_link && openAgentLink(facts.agent_link));
