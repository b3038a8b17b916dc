/** Runs a bundled worker in workerd, without a compatibility flag. Arguments: the bundle, and the input as JSON. */

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { Miniflare } = createRequire(import.meta.url)("miniflare");
const [bundle, body] = process.argv.slice(2);
const worker = new Miniflare({ modules: true, script: readFileSync(bundle, "utf8"), compatibilityDate: "2024-09-01" });
const response = await worker.dispatchFetch("http://localhost/", { method: "POST", body });
console.log(await response.text());
await worker.dispose();
