/** Hides secrets in the output of `console.log`. Properties, JSON and `structuredClone` keep the values. */

/** Node, Deno, Bun and workerd print the result of this method instead of the object. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** Returns the object, whose printed form has `***` instead of these properties. */
export function hideWhenPrinted<Answer extends object>(answer: Answer, secrets: readonly string[]): Answer {
  const hidden = Object.fromEntries(secrets.filter((name) => name in answer).map((name) => [name, "***"]));
  return Object.defineProperty(answer, INSPECT, { value: () => ({ ...answer, ...hidden }) });
}
