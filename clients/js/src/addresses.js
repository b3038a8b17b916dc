/**
 * Parts of an address. `fetch` resolves `..` before it sends anything, so that what an end user typed could lead to
 * another route with your key: no part of an address may do that.
 */

/** What the URL parser takes for `.` or `..`. */
const DOTS = /^(\.|%2e){1,2}$/i;

/** A path variable. @throws {TypeError} where there is none, or where it cannot stand in an address. */
export function segment(name, value) {
  if (typeof value !== "string" || value === "") throw new TypeError(`${name} is required, and a string`);
  if (value === "." || value === "..") throw new TypeError(`${name} cannot be ${value}`);
  return encodeURIComponent(value);
}

/** A path of a provider, with its percent-encoding as it is. @throws {TypeError} where fetch would change it. */
export function providerPath(path) {
  if (typeof path !== "string" || !path.startsWith("/")) throw new TypeError("the path begins with /");
  // The URL parser turns \ round and takes out control characters and a last space, and sees the dots only then.
  if (/[\\#\u0000-\u001f]| $/.test(path)) {
    throw new TypeError("the path holds \\, #, a control character or a space at its end: percent-encode it");
  }
  if (
    path
      .split("?", 1)[0]
      .split("/")
      .some((part) => DOTS.test(part))
  ) {
    throw new TypeError("the path has a segment . or ..: it would lead elsewhere");
  }
  return path;
}

/** A query, with `?`; a list repeats its name, and what is null or undefined is left out. */
export function query(given) {
  const told =
    typeof given === "string" || given instanceof URLSearchParams ? new URLSearchParams(given) : pairs(given);
  const text = told.toString();
  return text ? `?${text}` : "";
}

function pairs(given) {
  const told = new URLSearchParams();
  for (const [name, value] of Object.entries(given ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null) told.append(name, String(one));
    }
  }
  return told;
}
