// The list of integrations. This module asks the server for the matching rows while the user types, and handles the
// arrow keys. The popup's script or the server has already built the rows.
import { Offline } from "./api.js";
import { el, text } from "./dom.js";

const KEY_PAUSE_MS = 40; // fast typing then asks the server once
const FEWEST_RANKED = 8; // fewer rows would look like an empty list
const FEW = 60; // a list of so many rows needs no folding

/**
 * @param {Element} root contains a search field, a select of categories, a list of rows, an empty state and a status.
 * @param {(query: string, signal: AbortSignal) => Promise<{ slugs: string[] }>} find returns the slugs of the matching
 *   integrations, the best match first.
 */
export function followList(root, find) {
  const [search, category, list, empty, status] = ["[type=search]", "select", "ul", ".empty", "[role=status]"].map((part) => root.querySelector(part));
  const rows = [...list.children].map((node) => {
    const { category, rank } = node.dataset;
    const name = node.querySelector(".row-title").textContent;
    return { node, slug: node.firstElementChild.value, name, category, rank: rank === undefined ? Infinity : Number(rank) };
  });
  const bySlug = new Map(rows.map((row) => [row.slug, row]));
  let matches = rows.filter(({ node }) => !node.hidden); // the answer to the last query, the best match first
  for (const { node } of rows) node.hidden = false;
  // The server puts matches first. Rows without a rank follow the ranked rows by name.
  const byRank = (left, right) => (left.rank === right.rank ? 0 : left.rank - right.rank);
  rows.sort((left, right) => byRank(left, right) || left.name.localeCompare(right.name));
  const ranked = rows.filter(({ rank }) => rank < Infinity);
  let problem = null;
  let asking = new AbortController();
  let answered = Promise.resolve();
  let unfolded = ranked.length < FEWEST_RANKED || rows.length <= FEW;
  const more = el("li", { class: "more" }, el("button", { type: "button", class: "secondary" }, text("pick.more", { count: rows.length })));
  more.firstElementChild.addEventListener("click", () => {
    unfolded = true;
    show();
    focus(list.children[ranked.length]);
  });
  const show = () => {
    const query = search.value.trim();
    const filtered = query || category.value;
    if (root.offsetHeight > 0) root.style.minHeight ||= `${root.offsetHeight}px`; // else the search field would move
    const folded = !filtered && !unfolded;
    const found = folded ? ranked : query ? matches : rows;
    const hits = found.filter((row) => !category.value || row.category === category.value);
    list.replaceChildren(...hits.map((hit) => hit.node), ...(folded ? [more] : []));
    list.scrollTop = 0;
    list.hidden = hits.length === 0;
    empty.hidden = hits.length > 0;
    empty.firstElementChild.textContent = problem ?? text(query ? "pick.empty" : "pick.none", { query });
    return hits.length;
  };
  /** Shows the rows for the typed text. Until the server has answered, the present rows stay. */
  const ask = async () => {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const query = search.value.trim();
    problem = null;
    if (query) {
      try {
        await new Promise((resolve) => setTimeout(resolve, KEY_PAUSE_MS));
        if (signal.aborted) return;
        const { slugs } = await find(query, signal);
        matches = slugs.flatMap((slug) => bySlug.get(slug) ?? []);
      } catch (error) {
        matches = [];
        problem = text(error instanceof Offline ? "problem.offline" : "problem.other");
      }
      if (signal.aborted) return;
    }
    const count = show();
    status.textContent = problem ?? (count === 1 ? text("pick.count_one") : text("pick.count", { count }));
  };
  const announce = () => {
    answered = ask();
  };
  /** Calls a function when the rows fit the typed text. Does nothing if the user types on. */
  const whenAnswered = async (act) => {
    const awaited = answered;
    await awaited;
    if (awaited === answered) act();
  };
  const focus = (node) => (node?.querySelector("button") ?? search).focus();
  search.addEventListener("input", announce);
  category.addEventListener("change", announce);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && search.value && !event.isComposing) {
      event.preventDefault(); // the next Escape closes the popup
      search.value = "";
      announce();
      return;
    }
    if (event.isComposing || (event.key !== "ArrowDown" && event.key !== "Enter")) return;
    event.preventDefault();
    if (event.key === "ArrowDown") whenAnswered(() => focus(list.firstElementChild));
    else if (search.value.trim()) whenAnswered(() => list.querySelector("button")?.click());
  });
  list.addEventListener("keydown", (event) => {
    const row = document.activeElement.closest("li");
    if (row === null || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
    event.preventDefault();
    const next = event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
    if (next !== null || event.key === "ArrowUp") focus(next);
  });
  empty.querySelector("button").addEventListener("click", (event) => {
    event.preventDefault();
    search.value = category.value = "";
    unfolded = true;
    announce();
    search.focus();
  });
  if (search.value || category.value || !unfolded) show();
}
