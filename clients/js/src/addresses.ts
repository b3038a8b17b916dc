/**
 * Parts of an address. `fetch` resolves `..` in the path before it sends a request. Without the checks in this module,
 * an end user could enter `..`, and a request with your API key would go to another route.
 */

/** The path segments that the URL parser resolves. */
const DOT_SEGMENT = /^(\.|%2e){1,2}$/i;

/** Encodes a path variable. @throws {TypeError} for a missing value and for a value that leads to another route. */
export function segment(name: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw new TypeError(`${name} must be a string that is not empty`);
  if (value === "." || value === "..") throw new TypeError(`${name} must not be ${value}`);
  return encodeURIComponent(value);
}

/** Returns the provider's path unchanged. @throws {TypeError} for a path that `fetch` would change. */
export function providerPath(path: string): string {
  if (typeof path !== "string" || !path.startsWith("/")) throw new TypeError("path must begin with /");
  // The URL parser first turns \ into / and removes control characters and a space at the end. Then it resolves dots.
  if (/[\\#\u0000-\u001f]| $/.test(path)) {
    throw new TypeError("path must not contain \\, #, a control character or a space at the end: percent-encode them");
  }
  if (
    path
      .replace(/\?.*/s, "")
      .split("/")
      .some((part) => DOT_SEGMENT.test(part))
  ) {
    throw new TypeError("path must not contain the segments . or ..: they lead to another address");
  }
  return path;
}

export type QueryValue = string | number | boolean | null | undefined;
export type QueryInput = string | URLSearchParams | Record<string, QueryValue | QueryValue[]>;

/** Returns the encoded query with its `?`. Omits null and undefined. For a list, repeats the name for each item. */
export function query(input?: QueryInput | null): string {
  const isEncoded = typeof input === "string" || input instanceof URLSearchParams;
  const text = (isEncoded ? new URLSearchParams(input) : parametersOf(input)).toString();
  return text ? `?${text}` : "";
}

function parametersOf(input?: Record<string, QueryValue | QueryValue[]> | null) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(input ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== undefined && item !== null) parameters.append(name, String(item));
    }
  }
  return parameters;
}
