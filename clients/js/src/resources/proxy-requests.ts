/** The log of calls through the proxy: types and operations. */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";

export interface ProxyRequests {
  /**
   * Lists calls through the proxy, newest first. A filter with several values matches calls that have one of the
   * values. `since` and `until` are times such as `2026-11-25T01:02:03Z`.
   */
  list(
    query?: {
      endUserId?: string | string[];
      connectionId?: string | string[];
      integrationSlug?: string | string[];
      httpStatus?: number | number[];
      apiKeyId?: string | string[];
      requestId?: string;
      since?: string;
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<ProxyRequest>;
}

export interface ProxyRequest {
  id: string;
  createdAt: string;
  endUserId: string | null;
  connectionId: string;
  integrationSlug: string;
  method: string;
  /** The path without the query. */
  path: string;
  /** 0 if the caller closed the connection before the response started. */
  httpStatus: number;
  /** The code of One Runtime's own error, or null. */
  errorCode: string | null;
  attempts: number;
  requestBytes: number;
  responseBytes: number;
  durationMs: number;
  upstreamMs: number | null;
  /** The API key of the caller. Null if an older version of One Runtime logged the call. */
  apiKeyId: string | null;
  /** The header `Request-Id` of the response. Null if an older version of One Runtime logged the call. */
  requestId: string | null;
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
