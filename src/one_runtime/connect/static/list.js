// The list of integrations. This module filters the rows while the user types, and handles the arrow keys. The popup's
// script or the server has already built the rows.
import { text } from "./dom.js";
import { search as searchRows, searchedText } from "./search.js";

/**
 * @param {Element} root contains a search field, a select of categories, a list of rows, an empty state and a status.
 */
export function followList(root) {
  const [search, category, list, empty, status] = ["[type=search]", "select", "ul", ".empty", "[role=status]"].map((part) => root.querySelector(part));
  const rows = [...list.children].map((node) => {
    node.hidden = false;
    const { category, aliases } = node.dataset;
    const words = (part) => node.querySelector(part)?.textContent ?? "";
    const names = aliases ? aliases.split("|") : [];
    return { node, category, searchedText: searchedText(words(".row-title"), node.firstElementChild.value, category, words(".row-help"), names) };
  });
  rows.sort((left, right) => (left.searchedText.name < right.searchedText.name ? -1 : 1)); // the server puts hits first
  const show = () => {
    const hits = searchRows(
      rows.filter((row) => !category.value || row.category === category.value),
      search.value,
    );
    list.replaceChildren(...hits.map((hit) => hit.node));
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
    announce();
    search.focus();
  });
  if (search.value || category.value) show();
}
