/** The client: one method for each operation of the API, and the proxy. */

import { query, segment } from "./addresses.js";
import { camelCase, fromWire, toWire } from "./names.js";
import { OPERATIONS, variablesOf } from "./operations.js";
import { Pages } from "./pages.js";
import { ProviderProxy } from "./proxy.js";
import { Transport } from "./transport.js";

export class OneRuntime {
  /** @throws {TypeError} for an option that cannot be used. */
  constructor(options) {
    const transport = new Transport(options);
    for (const [name, operation] of Object.entries(OPERATIONS)) {
      const [resource, verb] = name.split(".");
      if (verb) (this[resource] ??= {})[verb] = methodOf(transport, name, operation);
      else this[name] = methodOf(transport, name, operation);
    }
    this.proxy = new ProviderProxy(transport);
  }
}

/** Returns the method of an operation. Its arguments: the path variables, the input if there is one, `{signal}`. */
function methodOf(transport, name, operation) {
  const variables = variablesOf(operation);
  return (...args) => {
    const values = args.slice(0, variables.length);
    const [input, options] = operation.takes ? args.slice(variables.length) : [undefined, args[variables.length]];
    if (!operation.paged) return call(transport, name, values, input, options);
    const page = (cursor) => send(transport, operation, operation.path, { ...input, ...cursor }, options);
    return new Pages(page, operation.items);
  };
}

async function call(transport, name, values, input, options) {
  const operation = OPERATIONS[name];
  const answer = await send(transport, operation, pathOf(name, values), input, options);
  return operation.items ? answer[operation.items] : answer;
}

async function send(transport, operation, path, input, options) {
  const request = { method: operation.method, signal: options?.signal, ...contentOf(operation, input) };
  const search = operation.takes === "query" ? query(toWire({ ...operation.defaults, ...input })) : "";
  return fromWire(await transport.json(path + search, request));
}

function pathOf(name, values) {
  const operation = OPERATIONS[name];
  return variablesOf(operation).reduce(
    (path, variable, place) => path.replace(`{${variable}}`, segment(`${name}: ${camelCase(variable)}`, values[place])),
    operation.path,
  );
}

/** Returns the body and its type. A definition is sent unchanged; its text is YAML, a superset of JSON. */
function contentOf(operation, input) {
  if (operation.takes === "definition" && typeof input === "string") return { type: "application/yaml", body: input };
  if (operation.takes === "definition") return { type: "application/json", body: JSON.stringify(input) };
  if (operation.takes === "body") return { type: "application/json", body: JSON.stringify(toWire(input ?? {})) };
  return {};
}
