/** The client: one method for each operation of the API, and the proxy. */

import { CallsOfProviders, type ProviderProxy } from "./proxy.js";
import { Api } from "./resources/api.js";
import { type Options, type RawRequestOptions, Transport } from "./transport.js";

export class OneRuntime extends Api {
  readonly proxy: ProviderProxy;

  /**
   * Sends a request to any route of the API, and returns the raw response: its status, headers and text. A 304 is a
   * response too. `path`: the path with its query, such as `/v1/integrations?end_user_id=user_123`.
   *
   * @throws {OneRuntimeError} for an error of One Runtime.
   */
  readonly request: (method: string, path: string, options?: RawRequestOptions) => Promise<Response>;

  /**
   * @throws {TypeError} for an invalid option.
   * @throws {Error} in a browser, without `dangerouslyAllowBrowser`.
   */
  constructor(options: Options = {}) {
    const transport = new Transport(options);
    super(transport);
    this.proxy = new CallsOfProviders(transport);
    this.request = (method, path, options) => transport.raw(method, path, options);
  }
}
