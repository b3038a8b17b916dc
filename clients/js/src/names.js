/** The one rule of names: `endUserId` here is `end_user_id` in the API. Whose keys are your own or a provider's stay. */

const KEPT_IN_REQUESTS = new Set(["metadata", "params", "credentials", "definition", "fields"]);
const KEPT_IN_ANSWERS = new Set(["metadata", "params", "credentials", "definition"]);

/** `end_user_id` as `endUserId`. */
export function camelCase(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

/** A value with the API's names. */
export function toWire(value) {
  return renamed(value, (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), KEPT_IN_REQUESTS);
}

/** A value of the API with the names of JavaScript. */
export function fromWire(value) {
  return renamed(value, camelCase, KEPT_IN_ANSWERS);
}

function renamed(value, rename, kept) {
  if (Array.isArray(value)) return value.map((one) => renamed(one, rename, kept));
  if (value === null || typeof value !== "object" || typeof value.toJSON === "function") return value;
  const pairs = Object.entries(value);
  return Object.fromEntries(
    pairs.map(([name, inner]) => [rename(name), kept.has(name) ? inner : renamed(inner, rename, kept)]),
  );
}
