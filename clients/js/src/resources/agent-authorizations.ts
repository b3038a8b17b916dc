/**
 * Requests of agents to act for an end user, which your sign-in page answers.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export interface AgentAuthorizations {
  /**
   * Return the request of an agent. Show it to the end user, who approves or declines it.
   *
   * The id is the query parameter `agentAuthorizationId` of your sign-in page (`agents.sign_in_url`).
   *
   * The API key needs the scope `use`.
   *
   * @param agentAuthorizationId The id of an agent's request.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(agentAuthorizationId: string, options?: RequestOptions): Promise<AgentAuthorization>;
  /**
   * Approve the request of an agent for the end user who is signed in. Then send the browser to `continueUrl`.
   *
   * Only one answer is possible. The address contains a code that is valid for 60 seconds.
   *
   * The API key needs the scope `use`.
   *
   * @param agentAuthorizationId The id of an agent's request.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `idempotency_key_in_use` or `agent_authorization_closed`.
   * @throws {InvalidInput} with the code `invalid_input` or `idempotency_key_reused`.
   */
  approve(
    agentAuthorizationId: string,
    input: AgentApproval,
    options?: RequestOptions,
  ): Promise<AnsweredAgentAuthorization>;
  /**
   * Decline the open request of an agent. Then send the browser to `continueUrl`, and the agent learns the answer.
   *
   * A second call changes nothing.
   *
   * The API key needs the scope `use`.
   *
   * @param agentAuthorizationId The id of an agent's request.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  decline(agentAuthorizationId: string, options?: RequestOptions): Promise<AnsweredAgentAuthorization>;
}

/**
 * The end user who is signed in to your product, and the limits of the agent.
 *
 * The limits of your organization apply too. `access`: null means the access that the agent has requested.
 */
export interface AgentApproval {
  /** The access to grant. Null: the access that the agent has requested. */
  access?: "read" | "ask" | "write";
  /** The slugs that the agent can use. Null: all integrations. */
  integrations?: string[];
  /** The hosts that the agent can call. Null: all hosts of the integrations. */
  hosts?: string[];
  /** The HTTP methods that the agent can use. Null: all methods. */
  methods?: ("GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE")[];
  /** The number of calls that one program of the agent can make. Default: `300`. */
  callsPerRun?: number;
  /** Your own identifier of the end user. */
  endUserId: string;
}

/** A request of an agent to act for an end user. The request gives no permission. */
export interface AgentAuthorization {
  /** The id. Ids are UUIDs. */
  id: string;
  /** `open`, `approved`, `declined` or `expired`. */
  status: "open" | "approved" | "declined" | "expired";
  /** The address of the document in which the agent describes itself. */
  clientId: string;
  /** The host of `clientId`. Show it to the end user: it identifies the agent. */
  clientHost: string;
  /** The name that the agent gives itself, or null. The name is not verified. */
  clientName: string | null;
  /** The host, or the scheme of an app, to which the browser goes. */
  redirectHost: string;
  /** The access that the agent has requested, `read` or `write`. */
  access: "read" | "ask" | "write";
  /** Your identifier of the end user. Null before the approval. */
  endUserId: string | null;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time at which the request expires. */
  expiresAt: string;
}

/**
 * An authorization, with the address to which you send the browser. Do not log `continueUrl`.
 *
 * `continueUrl`: null if the answer came too late. Show the end user a page that says so.
 */
export interface AnsweredAgentAuthorization extends AgentAuthorization {
  /** The address to which you send the browser, or null. Do not log it. */
  continueUrl: string | null;
}

export default resource<AgentAuthorizations>("agentAuthorizations")({
  get: {
    method: "GET",
    path: "/v1/agent-authorizations/{agent_authorization_id}",
    returns: ["id", "status", "clientId"],
  },
  approve: {
    method: "POST",
    path: "/v1/agent-authorizations/{agent_authorization_id}",
    takes: "body",
    creates: true,
    returns: ["id", "status", "clientId"],
    secrets: ["continueUrl"],
  },
  decline: {
    method: "DELETE",
    path: "/v1/agent-authorizations/{agent_authorization_id}",
    returns: ["id", "status", "clientId"],
    secrets: ["continueUrl"],
  },
});
