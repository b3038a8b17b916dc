/** All resources of the API. `python -m scripts.generate_clients` writes this file. */

import { type Operation, resource } from "../operations.js";
import type { RequestOptions, Transport } from "../transport.js";
import type { Disconnection } from "./connections.js";
import agentAuthorizations, { type AgentAuthorizations } from "./agent-authorizations.js";
import apiKeys, { type ApiKeys } from "./api-keys.js";
import approvalRequests, { type ApprovalRequests } from "./approval-requests.js";
import catalog, { type Catalog } from "./catalog.js";
import connectRequests, { type ConnectRequests } from "./connect-requests.js";
import connections, { type Connections } from "./connections.js";
import customIntegrations, { type CustomIntegrations } from "./custom-integrations.js";
import endUserTokens, { type EndUserTokens } from "./end-user-tokens.js";
import endUsers, { type EndUsers } from "./end-users.js";
import events, { type Events } from "./events.js";
import integrations, { type Integrations } from "./integrations.js";
import oauthClients, { type OAuthClients } from "./oauth-clients.js";
import organization, { type OrganizationSettings } from "./organization.js";
import proxyRequests, { type ProxyRequests } from "./proxy-requests.js";
import sessions, { type Sessions } from "./sessions.js";
import webhookDeliveries, { type WebhookDeliveries } from "./webhook-deliveries.js";
import webhookEndpoints, { type WebhookEndpoints } from "./webhook-endpoints.js";

/** The resources of a client. */
export class Api {
  /** Requests of agents to act for an end user, which your sign-in page answers. */
  readonly agentAuthorizations: AgentAuthorizations;
  /** The API keys of your organization, and the key of the request. */
  readonly apiKeys: ApiKeys;
  /** Calls of agents that an end user has to approve. */
  readonly approvalRequests: ApprovalRequests;
  /** The public list of the built-in integrations. These requests need no API key. */
  readonly catalog: Catalog;
  /** Requests of agents that an end user connects an account. */
  readonly connectRequests: ConnectRequests;
  /** Connected accounts of end users, and their credentials. */
  readonly connections: Connections;
  /** Integrations that your organization defines itself. */
  readonly customIntegrations: CustomIntegrations;
  /** Tokens with which an agent acts for one end user. */
  readonly endUserTokens: EndUserTokens;
  /** The users of your product. */
  readonly endUsers: EndUsers;
  /** The audit log of your organization. */
  readonly events: Events;
  /** The integrations that an end user can connect. */
  readonly integrations: Integrations;
  /** The OAuth clients that your organization has registered with providers. */
  readonly oauthClients: OAuthClients;
  /** The settings of your organization. */
  readonly organization: OrganizationSettings;
  /** The log of calls through the proxy. */
  readonly proxyRequests: ProxyRequests;
  /** Permissions to make one connection in the hosted popup. */
  readonly sessions: Sessions;
  /** The deliveries of events to webhook endpoints. */
  readonly webhookDeliveries: WebhookDeliveries;
  /** The endpoints that receive events. */
  readonly webhookEndpoints: WebhookEndpoints;
  /**
   * Delete all connections of an end user to an integration, with their credentials.
   *
   * One Runtime revokes the tokens at the provider.
   *
   * The API key needs the scope `connect`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  readonly disconnect: (
    input: {
      /** The slug of the integration. */
      integrationSlug: string;
      /** Your own identifier of the end user. */
      endUserId: string;
    },
    options?: RequestOptions,
  ) => Promise<Disconnection>;

  constructor(transport: Transport) {
    this.agentAuthorizations = agentAuthorizations.methods(transport);
    this.apiKeys = apiKeys.methods(transport);
    this.approvalRequests = approvalRequests.methods(transport);
    this.catalog = catalog.methods(transport);
    this.connectRequests = connectRequests.methods(transport);
    this.connections = connections.methods(transport);
    this.customIntegrations = customIntegrations.methods(transport);
    this.endUserTokens = endUserTokens.methods(transport);
    this.endUsers = endUsers.methods(transport);
    this.events = events.methods(transport);
    this.integrations = integrations.methods(transport);
    this.oauthClients = oauthClients.methods(transport);
    this.organization = organization.methods(transport);
    this.proxyRequests = proxyRequests.methods(transport);
    this.sessions = sessions.methods(transport);
    this.webhookDeliveries = webhookDeliveries.methods(transport);
    this.webhookEndpoints = webhookEndpoints.methods(transport);
    this.disconnect = withoutNoun.methods(transport).disconnect;
  }
}

const withoutNoun = resource<Pick<Api, "disconnect">>()({
  disconnect: {
    method: "POST",
    path: "/v1/disconnect",
    takes: "body",
    returns: ["status", "integrationSlug", "endUserId"],
  },
});

/** All operations of the API, by the client's method. */
export const OPERATIONS: Readonly<Record<string, Operation>> = Object.freeze({
  ...withoutNoun.operations,
  ...agentAuthorizations.operations,
  ...apiKeys.operations,
  ...approvalRequests.operations,
  ...catalog.operations,
  ...connectRequests.operations,
  ...connections.operations,
  ...customIntegrations.operations,
  ...endUserTokens.operations,
  ...endUsers.operations,
  ...events.operations,
  ...integrations.operations,
  ...oauthClients.operations,
  ...organization.operations,
  ...proxyRequests.operations,
  ...sessions.operations,
  ...webhookDeliveries.operations,
  ...webhookEndpoints.operations,
});
