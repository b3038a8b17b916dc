/** Operations of the API as methods of a resource. The compiler compares each operation with the type of its method. */

import { type QueryInput, query, segment } from "./addresses.js";
import { unexpected } from "./errors.js";
import { camelCase, fromWire, toWire } from "./names.js";
import { type Page, type Pages, PagesOnDemand } from "./pages.js";
import { hideWhenPrinted } from "./secrets.js";
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
  /** True if the request creates something. The client sends an `Idempotency-Key`, so it can repeat the request. */
  readonly creates?: true;
  /** Fields that the answer, or each item of its list, always has. Without them, another server has answered. */
  readonly returns?: readonly string[];
  /** Fields of the answer that `console.log` does not print. */
  readonly secrets?: readonly string[];
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

/** The properties that are always present. */
type RequiredKeys<T> = { [Key in keyof T]-?: object extends Pick<T, Key> ? never : Key }[keyof T];
type Fields<T> = readonly [RequiredKeys<T>, ...RequiredKeys<T>[]];

/** The part of an operation's type that depends on the method's result. */
type ReturnedBy<Result> =
  Result extends Pages<infer Item>
    ? { readonly items: string; readonly paged: true; readonly returns: Fields<Item> }
    : Result extends Promise<readonly (infer Item)[]>
      ? { readonly items: string; readonly paged?: never; readonly returns: Fields<Item> }
      : Result extends Promise<infer Answer>
        ? { readonly items?: never; readonly paged?: never } & (Answer extends void
            ? { readonly returns?: never }
            : { readonly returns: Fields<Answer>; readonly secrets?: Fields<Answer> })
        : never;

/** The operation of a method. */
type OperationOf<Method, Path extends string> = Method extends (...args: infer Arguments) => infer Result
  ? (
      | { readonly method: "POST"; readonly creates?: true }
      | { readonly method: "GET" | "PUT" | "PATCH" | "DELETE"; readonly creates?: never }
    ) &
      TakenBy<Required<Arguments>, Path> &
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
    if (!operation.paged) return call(transport, name, operation, values, input, options);
    return new PagesOnDemand((cursor) =>
      send(transport, operation, operation.path, { ...input, ...cursor }, options) as Promise<Page<unknown>>);
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
  const keyed = operation.creates ? { idempotencyKey: crypto.randomUUID(), ...options } : options;
  return send(transport, operation, pathOf(name, operation, values), input, keyed);
}

async function send(
  transport: Transport,
  operation: Operation,
  path: string,
  input?: object,
  options?: RequestOptions,
) {
  const parameters = operation.takes === "query" ? toWire({ ...operation.defaults, ...input }) : undefined;
  return transport.json(path + query(parameters as QueryInput), {
    method: operation.method,
    options,
    waitSeconds: (input as { waitSeconds?: number } | undefined)?.waitSeconds,
    ...contentOf(operation, input),
    read: (value, response) => answerOf(operation, fromWire(value), response),
  });
}

/** Returns the result of a method. @throws {OneRuntimeError} for an answer that does not have the operation's fields. */
function answerOf({ returns, secrets, items, paged }: Operation, value: unknown, response: Response): unknown {
  if (returns === undefined) return undefined;
  const answer = objectOf(value, items ? [items, ...(paged ? ["nextCursor"] : [])] : returns, response);
  if (secrets) hideWhenPrinted(answer, secrets);
  if (items === undefined) return answer;
  const list = answer[items];
  if (!Array.isArray(list)) throw unexpected(response, `The answer's ${items} is not a list`);
  for (const item of list) objectOf(item, returns, response);
  return paged ? { items: list, nextCursor: answer["nextCursor"] } : list;
}

/** Returns the value as an object with the fields. @throws {OneRuntimeError} if a field is missing. */
function objectOf(value: unknown, fields: readonly string[], response: Response) {
  const object = value as Readonly<Record<string, unknown>> | null | undefined;
  const missing = fields.find((field) => object?.[field] === undefined);
  if (object == null || missing !== undefined) throw unexpected(response, `The answer has no ${missing}`);
  return object;
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
