/** Converts names: `endUserId` of the client is `end_user_id` of the API. Keys inside some objects do not change. */

const KEPT_IN_REQUESTS = new Set(["metadata", "params", "credentials", "definition", "fields"]);
const KEPT_IN_ANSWERS = new Set(["metadata", "params", "credentials", "definition"]);

/** Returns `end_user_id` as `endUserId`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Returns the value with the names of the API. */
export function toWire(value: unknown): unknown {
  return renamed(value, (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), KEPT_IN_REQUESTS);
}

/** Returns the API's value with the names of the client. */
export function fromWire(value: unknown): unknown {
  return renamed(value, camelCase, KEPT_IN_ANSWERS);
}

function renamed(value: unknown, rename: (name: string) => string, unchanged: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename, unchanged));
  if (value === null || typeof value !== "object") return value;
  if ("toJSON" in value && typeof value.toJSON === "function") return value;
  const pairs = Object.entries(value);
  return Object.fromEntries(
    pairs.map(([name, inner]) => [rename(name), unchanged.has(name) ? inner : renamed(inner, rename, unchanged)]),
  );
}
