// Builds elements and texts for the popup. No function parses HTML, so foreign strings only become text.
import TEXTS from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const LONGEST = 80; // characters; a longer name would push buttons and warnings off the screen
const REORDERING = /[\u202a-\u202e\u2066-\u2069]/g;
const PLACEHOLDER = /\{(\w+)\}/;

/** Returns the text under `key`. Replaces each `{name}` by its value. */
export function text(key, values = {}) {
  return TEXTS[key].replace(/\{(\w+)\}/g, (whole, name) => (values[name] === undefined ? whole : shown(values[name])));
}

/** Returns a name without characters that reorder the text around it. Shortens a long name. */
export function shown(name) {
  const characters = [...String(name).replace(REORDERING, "")];
  return characters.length > LONGEST ? `${characters.slice(0, LONGEST - 1).join("")}…` : characters.join("");
}

/** Returns true if there is a text under `key`. */
export function hasText(key) {
  return Object.hasOwn(TEXTS, key);
}

/** Returns the text under `key` as nodes. Replaces each `{name}` by its value in <bdi>: a name in Arabic stays one. */
export function sentence(key, values) {
  return TEXTS[key]
    .split(/(\{\w+\})/)
    .filter(Boolean)
    .map((part) => {
      const name = PLACEHOLDER.exec(part)?.[1];
      return name === undefined ? part : el("bdi", {}, shown(values[name]));
    });
}

/** Returns the same nodes as `sentence`, with each name in <strong>. */
export function rich(key, values) {
  return sentence(key, values).map((part) => (typeof part === "string" ? part : el("strong", {}, part)));
}

/** Returns a new element. Omits attributes that are null, undefined or false. True becomes an empty attribute. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Returns one of the page's icons, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Returns a link that opens a new tab, without opener and referrer. Returns null if the URL is not http or https. */
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

/**
 * Returns a logo in a tile. If our policy does not allow the image, the tile shows the first letter of the name.
 * `darkUrl`: another logo for the dark scheme, or null.
 */
export function logo(url, name, kind, darkUrl = null) {
  const letter = () => el("span", { class: "letter" }, [...name.trim()][0]?.toUpperCase() ?? "");
  const tile = el("span", { class: `tile tile-${kind}`, "aria-hidden": "true" });
  if (!isOwnImage(url)) {
    tile.append(letter());
    return tile;
  }
  const lazy = kind === "small"; // the list has hundreds of small logos
  const image = el("img", { loading: lazy && "lazy", decoding: "async", src: url, alt: "" });
  const dark = isOwnImage(darkUrl) ? el("source", { media: document.body.dataset.darkMedia, srcset: darkUrl }) : null;
  const picture = el("picture", {}, dark, image);
  image.addEventListener("error", () => picture.replaceWith(letter()));
  tile.append(picture);
  return tile;
}

// Applies the same rule as the page's `img-src 'self' data:`, so that the browser reports no violation.
function isOwnImage(url) {
  if (!url) return false;
  if (/^data:image\//i.test(url)) return true;
  return URL.canParse(url, location.href) && new URL(url, location.href).origin === location.origin;
}
