/** The JavaScript runtime of the program. The client uses no module of Node, so it runs in every runtime with `fetch`. */

import { VERSION } from "./version.js";

interface Runtime {
  readonly process?: { readonly env?: Readonly<Record<string, string | undefined>>; readonly version?: string };
  readonly Deno?: { readonly version?: { readonly deno?: string } };
  readonly Bun?: { readonly version?: string };
  readonly window?: { readonly document?: unknown };
  readonly navigator?: { readonly userAgent?: string };
}

const runtime = globalThis as Runtime;

/** Returns an environment variable. Returns undefined if the runtime has no variables or denies the access. */
export function variable(name: string): string | undefined {
  try {
    return runtime.process?.env?.[name];
  } catch {
    return undefined; // Deno asks for a permission
  }
}

/** Returns true in a page of a browser. Every user of the page can read the API key there. */
export function isPage(): boolean {
  return runtime.window?.document !== undefined && runtime.navigator !== undefined;
}

/** Returns the client and the runtime, such as `one-runtime-js/0.1.0 node/24.19.0`. */
export function userAgent(): string {
  return `one-runtime-js/${VERSION} ${nameOfRuntime()}`.trim();
}

function nameOfRuntime() {
  if (runtime.Deno?.version?.deno) return `deno/${runtime.Deno.version.deno}`;
  if (runtime.Bun?.version) return `bun/${runtime.Bun.version}`;
  if (runtime.process?.version) return `node/${runtime.process.version.replace("v", "")}`;
  return runtime.navigator?.userAgent === "Cloudflare-Workers" ? "cloudflare-workers" : "";
}
