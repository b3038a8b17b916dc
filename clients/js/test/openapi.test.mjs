import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";

import * as module from "@one-runtime/client";

import { client, URL_OF_US } from "./installation.mjs";

const { OPERATIONS } = module;
const METHODS = new Set(["get", "put", "post", "patch", "delete", "head", "options"]);
/** Routes of the client's `proxy`, which takes any method and any path. */
const PROXY = "/v1/proxy/";

async function documented() {
  const { paths } = await (await fetch(`${URL_OF_US}/openapi.json`)).json();
  return Object.entries(paths)
    .filter(([path]) => path.startsWith("/v1/") && !path.startsWith(PROXY))
    .flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([method]) => METHODS.has(method))
        .map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
    );
}

test("every operation of the API has one method, and every method has an operation", async () => {
  const ours = Object.values(OPERATIONS).map((item) => `${item.method} ${item.path}`);
  assert.deepEqual(ours.sort(), (await documented()).map((item) => item.name).sort());
});

test("every operation of the table is a method of the client", () => {
  const oneRuntime = client();
  const missing = Object.keys(OPERATIONS).filter((name) => {
    const found = name.split(".").reduce((inside, part) => inside?.[part], oneRuntime);
    return typeof found !== "function";
  });
  assert.deepEqual(missing, []);
});

test("an operation takes a body, a query or a cursor where the document says so", async () => {
  const table = Object.fromEntries(Object.values(OPERATIONS).map((item) => [`${item.method} ${item.path}`, item]));
  for (const { name, operation } of await documented()) {
    const queried = (operation.parameters ?? []).filter((item) => item.in === "query").map((item) => item.name);
    assert.equal(Boolean(table[name].paged), queried.includes("cursor"), name);
    assert.equal(["body", "definition"].includes(table[name].takes), Boolean(operation.requestBody), name);
    assert.equal(table[name].takes === "query", queried.length > 0, name);
  }
});

test("an operation returns fields that the document requires", async () => {
  const document = await (await fetch(`${URL_OF_US}/openapi.json`)).json();
  for (const [name, { method, path, items, returns, paged }] of Object.entries(OPERATIONS)) {
    const { responses } = document.paths[path][method.toLowerCase()];
    const successes = Object.entries(responses).filter(([status]) => status.startsWith("2"));
    const [schema] = successes.map(([, { content }]) => content?.["application/json"]?.schema).filter(Boolean);
    assert.equal(Boolean(returns), Boolean(schema), name);
    if (!schema) continue;
    const answer = resolved(document, schema);
    const fields = items ? resolved(document, answer.properties[snakeCase(items)].items) : answer;
    if (items) assert.ok([snakeCase(items), ...(paged ? ["next_cursor"] : [])].every((field) => answer.required.includes(field)), name);
    for (const field of returns) assert.ok(fields.required.includes(snakeCase(field)), `${name}: ${field}`);
  }
});

/** Returns the schema that a reference names. */
function resolved(document, schema) {
  return schema.$ref ? document.components.schemas[schema.$ref.split("/").at(-1)] : schema;
}

function snakeCase(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

test("every method and every export has a type", async () => {
  const types = await typesOf("../dist/esm/");
  const exported = Object.keys(module).filter(
    (name) =>
      !new RegExp(`^export declare (class|const|function) ${name}\\b|^export \\* as ${name} from`, "m").test(types),
  );
  const methods = Object.keys(OPERATIONS).filter((name) => !typeOf(types, ...name.split(".")));
  assert.deepEqual([exported, methods], [[], []]);
});

/** Returns the text of all files of types in a folder. */
async function typesOf(folder) {
  const names = await readdir(new URL(folder, import.meta.url), { recursive: true });
  const files = names.filter((name) => name.endsWith(".d.ts")).map((name) => new URL(folder + name, import.meta.url));
  return (await Promise.all(files.map((file) => readFile(file, "utf8")))).join("\n");
}

/** Returns whether a resource's interface has the method. */
function typeOf(types, resource, verb) {
  if (!verb) return types.includes(`\n    readonly ${resource}: (`);
  const name = types.match(new RegExp(`readonly ${resource}: (\\w+);`))?.[1];
  return types.match(new RegExp(`^export interface ${name} \\{.*?^\\}`, "ms"))?.[0].includes(`\n    ${verb}(`);
}

test("every method that the README shows exists", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const shown = Array.from(readme.matchAll(/oneRuntime\.(\w+)\.(\w+)\(/g), ([, resource, verb]) => [resource, verb]);
  assert.ok(shown.length > 0 && shown.every(([resource, verb]) => typeof client()[resource][verb] === "function"));
});
