/**
 * Builds the package from the source of `/connect.js`, which One Runtime's server sends to pages without a bundler:
 * `dist/connect.js` is an ES module, `dist/connect.cjs` is a CommonJS module.
 *
 * In a bundle, the module cannot know the URL of One Runtime. So `baseUrl` is required in this package.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const SERVER = new URL("../../src/one_runtime/connect/", import.meta.url);
const DIST = new URL("dist/", import.meta.url);

const texts = Object.entries(JSON.parse(read("languages/en.json"))).filter(([name]) => name.startsWith("host."));
const script = changed(read("static/connect.js"), [
  ["__TEXTS__; // the server replaces the placeholder by texts of the folder `languages`", `${JSON.stringify(Object.fromEntries(texts), null, 2)};`],
  ['{ baseUrl = new URL(".", import.meta.url).href } = {}', "{ baseUrl } = {}"],
]);
const types = changed(read("static/connect.d.ts"), [
  ["  /** The public URL of One Runtime; by default the URL that this module was loaded from. */\n  baseUrl?: string;", "  /** The public URL of One Runtime. */\n  baseUrl: string;"],
  ["createOneRuntime(options?: OneRuntimeOptions)", "createOneRuntime(options: OneRuntimeOptions)"],
]);
const EXPORT = "export function createOneRuntime";

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST);
write("connect.js", script);
write("connect.cjs", `"use strict";\nexports.createOneRuntime = createOneRuntime;\n\n${changed(script, [[EXPORT, EXPORT.replace("export ", "")]])}`);
write("connect.d.ts", types);
write("connect.d.cts", types);

function read(name) {
  return readFileSync(new URL(name, SERVER), "utf8");
}

function write(name, text) {
  writeFileSync(new URL(name, DIST), text);
}

/** Replaces texts that occur exactly once. @throws {Error} if the source has changed, so that a text is missing. */
function changed(text, replacements) {
  for (const [from, to] of replacements) {
    if (text.split(from).length !== 2) throw new Error(`build.mjs: the source does not contain exactly once: ${from}`);
    text = text.replace(from, () => to);
  }
  return text;
}
