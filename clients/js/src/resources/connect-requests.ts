/**
 * Requests of agents that an end user connects an account.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export interface ConnectRequests {
  /**
   * Return a connect request. Compare `endUserId` with the user who is signed in to your product.
   *
   * The id is the query parameter `connectRequestId` of the page of your product that the end user opened.
   *
   * The API key needs the scope `connect`.
   *
   * @param connectRequestId The id of an agent's connect request.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(connectRequestId: string, options?: RequestOptions): Promise<ConnectRequest>;
  /**
   * Decline an open connect request, because the end user does not want to connect. The agent learns it.
   *
   * A second call changes nothing.
   *
   * The API key needs the scope `connect`.
   *
   * @param connectRequestId The id of an agent's connect request.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  decline(connectRequestId: string, options?: RequestOptions): Promise<ConnectRequest>;
}

/**
 * A request of an agent that an end user connects an account. The request gives no permission.
 *
 * `status`: `open`, `connected`, `declined` or `expired`. A request expires after 10 minutes.
 */
export interface ConnectRequest {
  /** The id. Ids are UUIDs. */
  id: string;
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The slug of the integration. */
  integrationSlug: string;
  /** `open`, `connected`, `declined` or `expired`. */
  status: "open" | "connected" | "declined" | "expired";
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time at which the session expires. */
  expiresAt: string;
}

export default resource<ConnectRequests>("connectRequests")({
  get: {
    method: "GET",
    path: "/v1/connect-requests/{connect_request_id}",
    returns: ["id", "endUserId", "integrationSlug"],
  },
  decline: {
    method: "DELETE",
    path: "/v1/connect-requests/{connect_request_id}",
    returns: ["id", "endUserId", "integrationSlug"],
  },
});
