/** Operations of the API as methods of a resource. The compiler compares each operation with the type of its method. */

import { type QueryInput, query, segment } from "./addresses.js";
import { camelCase, fromWire, toWire } from "./names.js";
import { type Pages, PagesOnDemand } from "./pages.js";
import type { RequestOptions, Transport } from "./transport.js";

export interface Operation {
  readonly method: string;
  readonly path: string;
  /** The part of the request that contains the method's input. A definition is a body with unchanged keys. */
  readonly takes?: "query" | "body" | "definition";
  /** The member of the response that the method returns. */
  readonly items?: string;
  /** True if the list has pages. */
  readonly paged?: boolean;
  /** Default values of the query. */
  readonly defaults?: Readonly<Record<string, string>>;
}

/** One argument for each variable of a path. */
type Variables<Path extends string> = Path extends `${string}{${string}}${infer Rest}`
  ? [string, ...Variables<Rest>]
  : [];

/** The part of an operation's type that depends on the method's arguments: path variables, then the input, if any. */
type TakenBy<Arguments extends unknown[], Path extends string> = Arguments extends [...Variables<Path>, RequestOptions]
  ? { readonly takes?: never; readonly defaults?: never }
  : Arguments extends [...Variables<Path>, unknown, RequestOptions]
    ? { readonly takes: "query"; readonly defaults?: Operation["defaults"] } | { readonly takes: "body" | "definition" }
    : never;

/** The part of an operation's type that depends on the method's result. */
type ReturnedBy<Result> =
  Result extends Pages<unknown>
    ? { readonly items: string; readonly paged: true }
    : Result extends Promise<readonly unknown[]>
      ? { readonly items: string; readonly paged?: never }
      : { readonly items?: never; readonly paged?: never };

/** The operation of a method. */
type OperationOf<Method, Path extends string> = Method extends (...args: infer Arguments) => infer Result
  ? { readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" } & TakenBy<Required<Arguments>, Path> &
      ReturnedBy<Result>
  : never;

/** The operations of a resource, by their name in `OPERATIONS`. */
export class Resource<Methods> {
  readonly operations: Readonly<Record<string, Operation>>;

  constructor(noun: string | undefined, operations: Readonly<Record<string, Operation>>) {
    const named = Object.entries(operations).map(([verb, operation]) => [noun ? `${noun}.${verb}` : verb, operation]);
    this.operations = Object.fromEntries(named);
  }

  /** Returns the methods of a client. */
  methods(transport: Transport): Methods {
    const named = Object.entries(this.operations).map(([name, operation]) => [
      name.slice(name.indexOf(".") + 1),
      methodOf(transport, name, operation),
    ]);
    return Object.fromEntries(named);
  }
}

/**
 * Declares the operations of a resource: `resource<Methods>("noun")({ verb: operation })`. TypeScript infers either all
 * type arguments of a call or none, so there are two calls. The caller states the type argument of the first call.
 * TypeScript infers the paths from the second call.
 */
export function resource<Methods>(noun?: string) {
  return <const Paths extends Readonly<Record<keyof Methods, string>>>(
    operations: Readonly<Record<string, Operation>> & {
      readonly [Verb in keyof Paths]: { readonly path: Paths[Verb] } & OperationOf<
        Verb extends keyof Methods ? Methods[Verb] : never,
        Paths[Verb]
      >;
    },
  ): Resource<Methods> => new Resource(noun, operations);
}

/** Returns the method of an operation. The method takes the path variables, then the input, if any, then `{signal}`. */
function methodOf(transport: Transport, name: string, operation: Operation) {
  const variables = variablesOf(operation);
  return (...args: unknown[]) => {
    const values = args.slice(0, variables.length);
    const [input, options] = (
      operation.takes ? args.slice(variables.length) : [undefined, args[variables.length]]
    ) as [object?, RequestOptions?];
    const { items } = operation;
    if (!operation.paged || items === undefined) return call(transport, name, operation, values, input, options);
    return new PagesOnDemand(async (cursor) => {
      const answer = await send(transport, operation, operation.path, { ...input, ...cursor }, options);
      return { items: answer[items] as unknown[], nextCursor: answer["nextCursor"] as string | null };
    });
  };
}

async function call(
  transport: Transport,
  name: string,
  operation: Operation,
  values: unknown[],
  input?: object,
  options?: RequestOptions,
) {
  const answer = await send(transport, operation, pathOf(name, operation, values), input, options);
  return operation.items ? answer[operation.items] : answer;
}

async function send(
  transport: Transport,
  operation: Operation,
  path: string,
  input?: object,
  options?: RequestOptions,
) {
  const request = { method: operation.method, signal: options?.signal, ...contentOf(operation, input) };
  const parameters = operation.takes === "query" ? toWire({ ...operation.defaults, ...input }) : undefined;
  const answer = await transport.json(path + query(parameters as QueryInput), request);
  return fromWire(answer) as Readonly<Record<string, unknown>>;
}

function pathOf(name: string, operation: Operation, values: unknown[]) {
  return variablesOf(operation).reduce(
    (path, variable, place) => path.replace(`{${variable}}`, segment(`${name}: ${camelCase(variable)}`, values[place])),
    operation.path,
  );
}

/** Returns the variables of an operation's path, in order. */
function variablesOf(operation: Operation) {
  return Array.from(operation.path.matchAll(/\{(\w+)\}/g), ([, name]) => name as string);
}

/** Returns the body and its media type. A definition that is text is sent as YAML, because YAML includes JSON. */
function contentOf(operation: Operation, input?: object | string) {
  if (operation.takes === "definition" && typeof input === "string") return { type: "application/yaml", body: input };
  if (operation.takes === "definition") return { type: "application/json", body: JSON.stringify(input) };
  if (operation.takes === "body") return { type: "application/json", body: JSON.stringify(toWire(input ?? {})) };
  return {};
}
