/** Runs the tests of every runtime in a runtime with a command line. The argument is the input as JSON. */

import { run } from "./everywhere.mjs";

const [input] = globalThis.Deno?.args ?? process.argv.slice(2);
console.log(JSON.stringify(await run(JSON.parse(input))));
