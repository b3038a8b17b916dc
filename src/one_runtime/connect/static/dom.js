// Builds elements and texts for the popup. Nothing here parses HTML: foreign strings only become text.
import TEXTS from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const PLACEHOLDER = /\{(\w+)\}/;

/** The text under `key`, with `{name}` filled in. */
export function text(key, values = {}) {
  return TEXTS[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Returns true if there is a text under `key`. */
export function hasText(key) {
  return Object.hasOwn(TEXTS, key);
}

/** The text under `key` as nodes, with every filled-in name set in <strong>. */
export function rich(key, values) {
  return TEXTS[key]
    .split(/(\{\w+\})/)
    .filter(Boolean)
    .map((part) => {
      const name = PLACEHOLDER.exec(part)?.[1];
      return name === undefined ? part : el("strong", {}, values[name]);
    });
}

/** An element. Attributes that are null, undefined or false are left out; true becomes an empty attribute. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** One of the shell's drawings, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A link that leaves the popup: a new tab without opener and referrer. Null if the address is not http or https. */
export function leavingLink(href, label) {
  if (!/^https?:\/\//i.test(href ?? "")) return null;
  return el(
    "a",
    { href, target: "_blank", rel: "noopener noreferrer" },
    label,
    el("span", { class: "sr-only" }, ` (${text("field.new_tab")})`),
    icon("out"),
  );
}

/** A logo in a tile; the first letter of the name if there is no image that our policy allows. */
export function logo(url, name, kind) {
  const letter = () => el("span", { class: "letter" }, [...name.trim()][0]?.toUpperCase() ?? "");
  const tile = el("span", { class: `tile tile-${kind}`, "aria-hidden": "true" });
  if (!isOwnImage(url)) {
    tile.append(letter());
    return tile;
  }
  const lazy = kind === "small"; // the list has hundreds
  const image = el("img", { loading: lazy && "lazy", decoding: "async", src: url, alt: "" });
  image.addEventListener("error", () => image.replaceWith(letter()));
  tile.append(image);
  return tile;
}

// The same rule as the page's `img-src 'self' data:`, so that the browser reports no violation.
function isOwnImage(url) {
  if (!url) return false;
  if (/^data:image\//i.test(url)) return true;
  return URL.canParse(url, location.href) && new URL(url, location.href).origin === location.origin;
}
