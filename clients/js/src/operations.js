/**
 * Every operation of the API, by the method of the client. Tests compare it with the OpenAPI document.
 *
 * `takes`: the use of the method's input: as query, as body, or as a definition, which is sent unchanged. `items`: the
 * member of the answer that the method returns. `paged`: the list has pages.
 */
export const OPERATIONS = Object.freeze({
  "integrations.list": {
    method: "GET",
    path: "/v1/integrations",
    takes: "query",
    items: "integrations",
    defaults: { logo: "url" },
  },

  "catalog.list": {
    method: "GET",
    path: "/v1/catalog/integrations",
    takes: "query",
    items: "integrations",
    defaults: { logo: "url" },
  },
  "catalog.get": {
    method: "GET",
    path: "/v1/catalog/integrations/{slug}",
    takes: "query",
    defaults: { logo: "url" },
  },
  "catalog.categories": { method: "GET", path: "/v1/catalog/categories", items: "categories" },

  "sessions.create": { method: "POST", path: "/v1/hosted-connection-sessions", takes: "body" },
  "sessions.get": { method: "GET", path: "/v1/hosted-connection-sessions/{session_id}" },
  "sessions.cancel": { method: "DELETE", path: "/v1/hosted-connection-sessions/{session_id}" },
  "sessions.redeem": { method: "POST", path: "/v1/hosted-connection-sessions/{session_id}/redeem", takes: "body" },

  disconnect: { method: "POST", path: "/v1/disconnect", takes: "body" },

  "connections.list": { method: "GET", path: "/v1/connections", takes: "query", items: "connections", paged: true },
  "connections.create": { method: "POST", path: "/v1/connections", takes: "body" },
  "connections.get": { method: "GET", path: "/v1/connections/{connection_id}" },
  "connections.update": { method: "PATCH", path: "/v1/connections/{connection_id}", takes: "body" },
  "connections.delete": { method: "DELETE", path: "/v1/connections/{connection_id}" },
  "connections.check": { method: "POST", path: "/v1/connections/{connection_id}/check" },
  "connections.refresh": { method: "POST", path: "/v1/connections/{connection_id}/refresh" },
  "connections.credentials": { method: "GET", path: "/v1/connections/{connection_id}/credentials" },

  "endUsers.list": { method: "GET", path: "/v1/end-users", takes: "query", items: "endUsers", paged: true },
  "endUsers.delete": { method: "DELETE", path: "/v1/end-users/{end_user_id}" },

  "organization.get": { method: "GET", path: "/v1/organization" },
  "organization.replace": { method: "PUT", path: "/v1/organization", takes: "body" },

  "oauthClients.list": { method: "GET", path: "/v1/oauth-clients", items: "oauthClients" },
  "oauthClients.get": { method: "GET", path: "/v1/integrations/{integration_slug}/oauth-client" },
  "oauthClients.replace": { method: "PUT", path: "/v1/integrations/{integration_slug}/oauth-client", takes: "body" },
  "oauthClients.delete": { method: "DELETE", path: "/v1/integrations/{integration_slug}/oauth-client" },

  "customIntegrations.list": { method: "GET", path: "/v1/custom-integrations", items: "customIntegrations" },
  "customIntegrations.create": { method: "POST", path: "/v1/custom-integrations", takes: "definition" },
  "customIntegrations.get": { method: "GET", path: "/v1/custom-integrations/{slug}" },
  "customIntegrations.replace": { method: "PUT", path: "/v1/custom-integrations/{slug}", takes: "definition" },
  "customIntegrations.delete": { method: "DELETE", path: "/v1/custom-integrations/{slug}", takes: "query" },

  "events.list": { method: "GET", path: "/v1/events", takes: "query", items: "events", paged: true },

  "proxyRequests.list": {
    method: "GET",
    path: "/v1/proxy-requests",
    takes: "query",
    items: "proxyRequests",
    paged: true,
  },
});

/** Returns the variables of an operation's path, in order. */
export function variablesOf(operation) {
  return Array.from(operation.path.matchAll(/\{(\w+)\}/g), ([, name]) => name);
}
