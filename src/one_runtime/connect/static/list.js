// The list of integrations. This module filters the rows while the user types, and handles the arrow keys. The popup's
// script or the server has already built the rows.
import { el, text } from "./dom.js";
import { search as searchRows, searchedText } from "./search.js";

const FEWEST_RANKED = 8; // fewer rows would look like an empty list
const FEW = 60; // a list of so many rows needs no folding

/**
 * @param {Element} root contains a search field, a select of categories, a list of rows, an empty state and a status.
 */
export function followList(root) {
  const [search, category, list, empty, status] = ["[type=search]", "select", "ul", ".empty", "[role=status]"].map((part) => root.querySelector(part));
  const rows = [...list.children].map((node) => {
    node.hidden = false;
    const { category, aliases, rank } = node.dataset;
    const words = (part) => node.querySelector(part)?.textContent ?? "";
    const names = aliases ? aliases.split("|") : [];
    return { node, category, rank: rank === undefined ? Infinity : Number(rank), searchedText: searchedText(words(".row-title"), node.firstElementChild.value, category, words(".row-help"), names) };
  });
  // The server puts hits first. Rows without a rank follow the ranked rows by name.
  const byRank = (left, right) => (left.rank === right.rank ? 0 : left.rank - right.rank);
  rows.sort((left, right) => byRank(left, right) || (left.searchedText.name < right.searchedText.name ? -1 : 1));
  const ranked = rows.filter(({ rank }) => rank < Infinity);
  let unfolded = ranked.length < FEWEST_RANKED || rows.length <= FEW;
  const more = el("li", { class: "more" }, el("button", { type: "button", class: "secondary" }, text("pick.more", { count: rows.length })));
  more.firstElementChild.addEventListener("click", () => {
    unfolded = true;
    show();
    focus(list.children[ranked.length]);
  });
  const show = () => {
    const filtered = search.value.trim() || category.value;
    if (root.offsetHeight > 0) root.style.minHeight ||= `${root.offsetHeight}px`; // else the search field would move
    const folded = !filtered && !unfolded;
    const hits = searchRows(folded ? ranked : rows.filter((row) => !category.value || row.category === category.value), search.value);
    list.replaceChildren(...hits.map((hit) => hit.node), ...(folded ? [more] : []));
    list.scrollTop = 0;
    list.hidden = hits.length === 0;
    empty.hidden = hits.length > 0;
    const query = search.value.trim();
    empty.firstElementChild.textContent = text(query ? "pick.empty" : "pick.none", { query });
    return hits.length;
  };
  const announce = () => {
    const count = show();
    status.textContent = count === 1 ? text("pick.count_one") : text("pick.count", { count });
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
    if (event.key === "ArrowDown") focus(list.firstElementChild);
    else if (search.value.trim()) list.querySelector("button")?.click();
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
