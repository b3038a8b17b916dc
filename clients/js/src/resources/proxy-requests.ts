/**
 * The log of calls through the proxy.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { ProxyRequest } from "./end-users.js";

export interface ProxyRequests {
  /**
   * List the calls of your organization through the proxy, newest first.
   *
   * A call appears about a second after its end. One Runtime keeps calls for 7 days. The operator can change this time.
   *
   * The API key needs the scope `read`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(
    query?: {
      /** Your own identifier of the end user. */
      endUserId?: string | string[];
      /** The id of the connection. */
      connectionId?: string | string[];
      /** The slug of the integration. */
      integrationSlug?: string | string[];
      /** The HTTP status of the response. */
      httpStatus?: number | number[];
      /** The id of the API key. */
      apiKeyId?: string | string[];
      /** The id of the end-user token. */
      endUserTokenId?: string | string[];
      /** Only calls of these runs of an agent's programs. */
      runId?: string | string[];
      /** The id of the request, as in the header `Request-Id`. The server's log contains this id. */
      requestId?: string;
      /** Only items at or after this time, as in RFC 3339. */
      since?: string;
      /** Only items before this time, as in RFC 3339. */
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<ProxyRequest>;
}

export default resource<ProxyRequests>("proxyRequests")({
  list: {
    method: "GET",
    path: "/v1/proxy-requests",
    takes: "query",
    items: "proxyRequests",
    paged: true,
    returns: ["id", "createdAt", "connectionId"],
  },
});
