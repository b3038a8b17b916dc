/** The client: one method for each operation of the API, and the proxy. */

import { type Operation, resource } from "./operations.js";
import { CallsOfProviders, type ProviderProxy } from "./proxy.js";
import apiKeys, { type ApiKeys } from "./resources/api-keys.js";
import catalog, { type Catalog } from "./resources/catalog.js";
import connections, { type Connections, type Disconnection } from "./resources/connections.js";
import customIntegrations, { type CustomIntegrations } from "./resources/custom-integrations.js";
import endUsers, { type EndUsers } from "./resources/end-users.js";
import events, { type Events } from "./resources/events.js";
import integrations, { type Integrations } from "./resources/integrations.js";
import oauthClients, { type OAuthClients } from "./resources/oauth-clients.js";
import organization, { type OrganizationSettings } from "./resources/organization.js";
import proxyRequests, { type ProxyRequests } from "./resources/proxy-requests.js";
import sessions, { type Sessions } from "./resources/sessions.js";
import { type Options, type RawRequestOptions, type RequestOptions, Transport } from "./transport.js";

export class OneRuntime {
  readonly integrations: Integrations;
  readonly catalog: Catalog;
  readonly sessions: Sessions;
  readonly connections: Connections;
  readonly endUsers: EndUsers;
  readonly organization: OrganizationSettings;
  readonly oauthClients: OAuthClients;
  readonly customIntegrations: CustomIntegrations;
  readonly apiKeys: ApiKeys;
  readonly events: Events;
  readonly proxyRequests: ProxyRequests;
  readonly proxy: ProviderProxy;
  /** Deletes all connections of an end user to an integration. A repeated call is harmless. */
  readonly disconnect: (
    input: { integrationSlug: string; endUserId: string },
    options?: RequestOptions,
  ) => Promise<Disconnection>;

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
    this.request = (method, path, options) => transport.raw(method, path, options);
    this.integrations = integrations.methods(transport);
    this.catalog = catalog.methods(transport);
    this.sessions = sessions.methods(transport);
    this.connections = connections.methods(transport);
    this.endUsers = endUsers.methods(transport);
    this.organization = organization.methods(transport);
    this.oauthClients = oauthClients.methods(transport);
    this.customIntegrations = customIntegrations.methods(transport);
    this.apiKeys = apiKeys.methods(transport);
    this.events = events.methods(transport);
    this.proxyRequests = proxyRequests.methods(transport);
    this.proxy = new CallsOfProviders(transport);
    this.disconnect = withoutNoun.methods(transport).disconnect;
  }
}

const withoutNoun = resource<Pick<OneRuntime, "disconnect">>()({
  disconnect: { method: "POST", path: "/v1/disconnect", takes: "body", returns: ["status", "deletedCount"] },
});

/** All operations of the API, by the client's method. A test compares this table with the OpenAPI document. */
export const OPERATIONS: Readonly<Record<string, Operation>> = Object.freeze({
  ...integrations.operations,
  ...catalog.operations,
  ...sessions.operations,
  ...withoutNoun.operations,
  ...connections.operations,
  ...endUsers.operations,
  ...organization.operations,
  ...oauthClients.operations,
  ...customIntegrations.operations,
  ...apiKeys.operations,
  ...events.operations,
  ...proxyRequests.operations,
});
