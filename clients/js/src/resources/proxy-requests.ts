/**
 * The log of calls through the proxy.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";

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

/** A call through the proxy. Body sizes are in bytes, and durations are in milliseconds. */
export interface ProxyRequest {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** Your own identifier of the end user. */
  endUserId: string | null;
  /** The id of the connection. */
  connectionId: string;
  /** The slug of the integration. */
  integrationSlug: string;
  /** The HTTP method. */
  method: string;
  /** The path at the provider, without the query. */
  path: string;
  /** The HTTP status. 0: the caller disconnected before the response. */
  httpStatus: number;
  /** The code of One Runtime's own error, or null. */
  errorCode: string | null;
  /** The number of requests that One Runtime sent to the provider. */
  attempts: number;
  /** The size of the request's body in bytes. */
  requestBytes: number;
  /** The size of the response's body in bytes. */
  responseBytes: number;
  /** The duration of the call in milliseconds. */
  durationMs: number;
  /** The time until the provider's response in milliseconds, or null. */
  upstreamMs: number | null;
  /** The id of the API key. */
  apiKeyId: string | null;
  /** The id of the request, as in the header `Request-Id`. The server's log contains this id. */
  requestId: string | null;
  /** The end-user token of the agent that made the call, or null. */
  endUserTokenId: string | null;
  /** The run of an agent's program that made the call, or null. */
  runId: string | null;
  /** The member who made the call in the playground of the dashboard, or null. */
  memberId: string | null;
}

export default resource<ProxyRequests>("proxyRequests")({
  list: {
    method: "GET",
    path: "/v1/proxy-requests",
    takes: "query",
    items: "proxyRequests",
    paged: true,
    returns: ["id", "integrationSlug", "httpStatus"],
  },
});
