/**
 * Compiles the package in the working directory: ES modules into `dist/esm`, CommonJS into `dist/cjs`. Copies the
 * package's styles into `dist`.
 *
 * `node ../build.mjs [TSC]`: TSC is the path of TypeScript's compiler, by default the compiler in `node_modules`.
 */

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, rmSync, writeFileSync } from "node:fs";

const [compiler = "node_modules/typescript/bin/tsc"] = process.argv.slice(2);

rmSync("dist", { recursive: true, force: true });
for (const project of ["tsconfig.json", "tsconfig.cjs.json"]) {
  const { status } = spawnSync(process.execPath, [compiler, "--project", project], { stdio: "inherit" });
  if (status !== 0) {
    rmSync("dist", { recursive: true, force: true });
    process.exit(1);
  }
}
// The package has the type `module`, so Node would read the files in `dist/cjs` as ES modules.
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
if (existsSync("src/styles.css")) {
  copyFileSync("src/styles.css", "dist/styles.css");
  writeFileSync("dist/cjs/styles.css.d.ts", "export {};\n"); // TypeScript refuses an import without types
}
