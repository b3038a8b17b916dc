/**
 * Calls of agents that an end user has to approve.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export interface ApprovalRequests {
  /**
   * Return an approval request.
   *
   * The id is the query parameter `approvalRequestId` of the page of your product that the end user opened.
   *
   * The API key needs the scope `connect`.
   *
   * @param approvalRequestId The id of an agent's approval request.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(approvalRequestId: string, options?: RequestOptions): Promise<ApprovalRequest>;
  /**
   * Refuse an open approval request for the end user. The agent learns it. A second call changes nothing.
   *
   * The API key needs the scope `connect`.
   *
   * @param approvalRequestId The id of an agent's approval request.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  refuse(approvalRequestId: string, options?: RequestOptions): Promise<ApprovalRequest>;
  /**
   * Return the address of the page on which the end user approves or refuses the call. Redirect the browser to it.
   *
   * If the request belongs to another end user, the response is 409. An earlier address of this request becomes
   * invalid.
   *
   * The API key needs the scope `connect`.
   *
   * @param approvalRequestId The id of an agent's approval request.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `end_user_mismatch` or `approval_request_closed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  open(approvalRequestId: string, input: ApprovalOpening, options?: RequestOptions): Promise<OpenedApproval>;
}

/** The user who opened your page, and the URL to which the browser returns at the end. */
export interface ApprovalOpening {
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The URL to which the browser returns, or null. It must be one of your organization's return URLs. */
  returnUrl?: string;
}

/**
 * A call of an agent that the end user has to approve. The request gives no permission.
 *
 * `status`: `open`, `approved`, `refused` or `expired`. A request expires after 10 minutes. `approvedUntil`: if the end
 * user approved all calls with this connection, the end of this approval. Otherwise null.
 *
 * The query, the headers and the body of the call are only on the page for the end user.
 */
export interface ApprovalRequest {
  /** The id. Ids are UUIDs. */
  id: string;
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The slug of the integration. */
  integrationSlug: string;
  /** The id of the connection. */
  connectionId: string;
  /** The HTTP method. */
  method: string;
  /** Host of the provider's API. */
  host: string;
  /** The path at the provider, without the query. */
  path: string;
  /** `open`, `approved`, `refused` or `expired`. */
  status: "open" | "approved" | "refused" | "expired";
  /** End of the approval of all calls with this connection. */
  approvedUntil: string | null;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time at which the session expires. */
  expiresAt: string;
}

/** The address of the page on which the end user approves or refuses the call. Do not log this value. */
export interface OpenedApproval {
  /** The address of the page on which the end user approves or refuses the call of an agent. */
  approvalUrl: string;
  /** The time at which the session expires. */
  expiresAt: string;
}

export default resource<ApprovalRequests>("approvalRequests")({
  get: {
    method: "GET",
    path: "/v1/approval-requests/{approval_request_id}",
    returns: ["id", "endUserId", "integrationSlug"],
  },
  refuse: {
    method: "DELETE",
    path: "/v1/approval-requests/{approval_request_id}",
    returns: ["id", "endUserId", "integrationSlug"],
  },
  open: {
    method: "POST",
    path: "/v1/approval-requests/{approval_request_id}/open",
    takes: "body",
    returns: ["approvalUrl", "expiresAt"],
    secrets: ["approvalUrl"],
  },
});
