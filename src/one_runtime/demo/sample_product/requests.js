// The panel "Behind this page" lists the requests of Fernhill's backend to One Runtime as curl commands.
import { copy } from "./copying.js";

const list = document.getElementById("requests");
const tally = document.getElementById("tally");
const template = document.getElementById("request-template");
const KEPT = 50;
const SHELF = "requests";
const shown = []; // newest first, as in the list

/** Lists the requests in one answer of the backend, newest first. Only the newest request is unfolded. */
export function show(requests) {
  for (const request of requests ?? []) {
    for (const open of list.querySelectorAll("details[open]")) open.open = false;
    list.prepend(entry(request));
    shown.unshift(request);
  }
  while (list.children.length > KEPT) list.lastElementChild.remove();
  shown.splice(KEPT);
  count();
}

/** Stores the list before the window opens One Runtime. After the return, `unpack` restores the list. */
export function pack() {
  sessionStorage.setItem(SHELF, JSON.stringify(shown));
}

export function unpack() {
  const kept = JSON.parse(sessionStorage.getItem(SHELF) ?? "[]");
  sessionStorage.removeItem(SHELF);
  show(kept.reverse());
}

/** Returns an item of a list. `request`: the text to show, if this is not the curl command. */
export function entry({ method, target, curl, status, ms, answer, request = curl }) {
  const item = template.content.cloneNode(true).firstElementChild;
  const at = (selector) => item.querySelector(selector);
  at("details").open = true;
  at(".method").textContent = method;
  at(".target").textContent = target.split("?")[0];
  at(".status").textContent = status ?? "no answer";
  at(".status").classList.toggle("bad", status === null || status >= 400);
  at(".ms").textContent = `${ms} ms`;
  at(".curl").textContent = request;
  at(".copy").addEventListener("click", (event) => copy(curl, event.currentTarget));
  at(".copy").setAttribute("aria-label", `Copy ${method} ${target.split("?")[0]} as curl`);
  if (answer) at(".answer pre").textContent = answer;
  else at(".answer").remove();
  at(".curl").setAttribute("aria-label", request === curl ? "curl line" : "Message");
  return item;
}

function count() {
  const { length } = list.children;
  tally.textContent = `${length} ${length === 1 ? "request" : "requests"}`;
}

document.getElementById("clear-requests").addEventListener("click", () => {
  list.replaceChildren();
  shown.length = 0;
  count();
});

const handle = document.getElementById("handle");
const panel = document.getElementById("panel");

function unfold(open) {
  panel.classList.toggle("open", open);
  handle.setAttribute("aria-expanded", String(open));
}

handle.addEventListener("click", () => unfold(!panel.classList.contains("open")));
panel.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && panel.classList.contains("open")) {
    unfold(false);
    handle.focus();
  }
});
