/** The types of all resources. `python -m scripts.generate_clients` writes this folder. */

export type * from "./agent-authorizations.js";
export type * from "./api-keys.js";
export type * from "./approval-requests.js";
export type * from "./catalog.js";
export type * from "./connect-requests.js";
export type * from "./connections.js";
export type * from "./custom-integrations.js";
export type * from "./end-user-tokens.js";
export type * from "./end-users.js";
export type * from "./events.js";
export type * from "./integrations.js";
export type * from "./oauth-clients.js";
export type * from "./organization.js";
export type * from "./proxy-requests.js";
export type * from "./sessions.js";
export type * from "./webhook-deliveries.js";
export type * from "./webhook-endpoints.js";
