/** The client: one method for each operation of the API, and the proxy. */

import { query, segment } from "./addresses.js";
import { camelCase, fromWire, toWire } from "./names.js";
import { OPERATIONS, variablesOf } from "./operations.js";
import { Pages } from "./pages.js";
import { ProviderProxy } from "./proxy.js";
import { Transport } from "./transport.js";

export class OneRuntime {
  /** @throws {TypeError} where an option cannot be used. */
  constructor(options) {
    const transport = new Transport(options);
    for (const [name, operation] of Object.entries(OPERATIONS)) {
      const [resource, verb] = name.split(".");
      if (verb) (this[resource] ??= {})[verb] = method(transport, name, operation);
      else this[name] = method(transport, name, operation);
    }
    this.proxy = new ProviderProxy(transport);
  }
}

/** A function of the operation's path variables, then of its input where it has one, then of `{signal}`. */
function method(transport, name, operation) {
  const variables = variablesOf(operation);
  return (...given) => {
    const values = given.slice(0, variables.length);
    const [input, options] = operation.takes ? given.slice(variables.length) : [undefined, given[variables.length]];
    if (!operation.paged) return answer(transport, name, values, input, options);
    const page = (cursor) => ask(transport, operation, operation.path, { ...input, ...cursor }, options);
    return new Pages(page, operation.items);
  };
}

async function answer(transport, name, values, input, options) {
  const operation = OPERATIONS[name];
  const told = await ask(transport, operation, pathOf(name, values), input, options);
  return operation.items ? told[operation.items] : told;
}

async function ask(transport, operation, path, input, options) {
  const asked = { method: operation.method, signal: options?.signal, ...contentOf(operation, input) };
  const inAddress = operation.takes === "query" ? query(toWire({ ...operation.defaults, ...input })) : "";
  return fromWire(await transport.json(path + inAddress, asked));
}

function pathOf(name, values) {
  const operation = OPERATIONS[name];
  return variablesOf(operation).reduce(
    (path, variable, place) => path.replace(`{${variable}}`, segment(`${name}: ${camelCase(variable)}`, values[place])),
    operation.path,
  );
}

/** The body. A definition goes as it is: text is YAML, of which JSON is a part. */
function contentOf(operation, input) {
  if (operation.takes === "definition" && typeof input === "string") return { type: "application/yaml", body: input };
  if (operation.takes === "definition") return { type: "application/json", body: JSON.stringify(input) };
  if (operation.takes === "body") return { type: "application/json", body: JSON.stringify(toWire(input ?? {})) };
  return {};
}
