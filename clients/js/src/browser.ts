/**
 * The package in a bundle for browsers. Bundlers select this file by the export condition `browser`. The client here
 * also refuses to start in a worker of a browser, which `index.ts` cannot recognize.
 */

import { OneRuntime as Client } from "./client.js";
import { KEY_IN_A_BROWSER, type Options } from "./transport.js";

export * from "./index.js";

export class OneRuntime extends Client {
  /** @throws {Error} without `dangerouslyAllowBrowser`. */
  constructor(options: Options = {}) {
    if (options.dangerouslyAllowBrowser !== true) throw new Error(KEY_IN_A_BROWSER);
    super(options);
  }
}
