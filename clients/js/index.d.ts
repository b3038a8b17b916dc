/** Types of One Runtime's JavaScript client. Names are those of the API (docs/vocabulary.md) in camelCase. */

import type { Readable } from "node:stream";

export type AuthType = "oauth2" | "api_key" | "basic" | "client_credentials" | "none";
export type Expand = "connections";
export type Logo = "inline" | "url" | "none";
export type Mode = "embed" | "redirect" | "link";
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
/** Your own object. Its keys stay unchanged. */
export type Metadata = { [key: string]: Json };

export interface Options {
  /** The address of One Runtime: `https://connect.example.com`. */
  baseUrl: string;
  /** An API key of your organization, `oru_…`. Use it on a server only. */
  apiKey: string;
  fetch?: typeof globalThis.fetch;
  /** Milliseconds of one attempt, 60000 by default. For a proxied call: how long the provider may be silent. */
  timeout?: number;
  /** Waits between two attempts. */
  sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<unknown>;
}

export interface RequestOptions {
  signal?: AbortSignal;
}

/** A list with pages. Each loop over it starts again and requests a page when it needs one. */
export interface Pages<T> extends AsyncIterable<T> {
  /** Returns the items of all pages. */
  toArray(): Promise<T[]>;
  /** Returns the page at a `nextCursor`. Without a cursor, returns the first page. */
  page(cursor?: string | null): Promise<Page<T>>;
}

export interface Page<T> {
  items: T[];
  /** Null on the last page. */
  nextCursor: string | null;
}

export class OneRuntime {
  constructor(options: Options);
  readonly integrations: Integrations;
  readonly catalog: Catalog;
  readonly sessions: Sessions;
  readonly connections: Connections;
  readonly endUsers: EndUsers;
  readonly organization: OrganizationSettings;
  readonly oauthClients: OAuthClients;
  readonly customIntegrations: CustomIntegrations;
  readonly events: Events;
  readonly proxyRequests: ProxyRequests;
  readonly proxy: ProviderProxy;
  /** Deletes every connection of an end user to an integration. A second call is harmless. */
  disconnect(input: { integrationSlug: string; endUserId: string }, options?: RequestOptions): Promise<Disconnection>;
}

export interface Integrations {
  /** Lists the integrations that an end user can connect, with their status. Do not delete data because of `not_connected`. */
  list(
    query: { endUserId: string; status?: "connected" | "not_connected"; expand?: Expand | Expand[] } & CatalogQuery,
    options?: RequestOptions,
  ): Promise<Integration[]>;
}

export interface CatalogQuery {
  slug?: string | string[];
  category?: string;
  search?: string;
  /** `url` by default in this client. */
  logo?: Logo;
}

export interface CatalogIntegration {
  id: string;
  slug: string;
  name: string;
  description: string;
  logoUrl: string | null;
  category: string;
  supportedAuthTypes: AuthType[];
}

export interface Integration extends CatalogIntegration {
  status: "connected" | "not_connected";
  /** Only with `expand: "connections"`. */
  connections?: ConnectionSummary[];
}

export interface Catalog {
  list(query?: CatalogQuery, options?: RequestOptions): Promise<CatalogIntegration[]>;
  get(slug: string, query?: { logo?: Logo }, options?: RequestOptions): Promise<CatalogDetail>;
  categories(options?: RequestOptions): Promise<Category[]>;
}

export interface Category {
  name: string;
  count: number;
}

export interface CatalogDetail extends CatalogIntegration {
  website: string;
  docs: string | null;
  auth: CatalogAuth[];
}

export interface CatalogAuth {
  authType: AuthType;
  params: CatalogField[];
  fields: CatalogField[];
  /** Null for every other auth type. */
  oauth2: CatalogOAuth2 | null;
  verified: CatalogVerified;
}

export interface CatalogOAuth2 {
  scopes: string[];
  pkce: "required" | "supported" | "tolerated" | "avoid" | "unknown";
  refresh: "rotates" | "static" | "optional" | "none";
  client: "organization" | "customer";
  /** The page that registers an OAuth client. */
  clientUrl: string | null;
}

export interface CatalogVerified {
  how: "documentation" | "fixture" | "live" | "unverified";
  date: string | null;
}

export interface CatalogField {
  name: string;
  label: string;
  help: string | null;
  placeholder: string | null;
  pattern: string | null;
  secret: boolean;
  optional: boolean;
  options: CatalogFieldOption[];
}

export interface CatalogFieldOption {
  value: string;
  label: string;
}

export interface Sessions {
  /** Creates a session: one end user may make one connection. Log neither `sessionToken` nor `connectUrl`. */
  create(input: NewSession, options?: RequestOptions): Promise<CreatedSession>;
  get(sessionId: string, options?: RequestOptions): Promise<Session>;
  cancel(sessionId: string, options?: RequestOptions): Promise<Session>;
  /** `endUserId`: the user who is signed in where the code arrived. Take it from your login, never from the URL. */
  redeem(sessionId: string, input: { code: string; endUserId: string }, options?: RequestOptions): Promise<Session>;
}

export interface NewSession {
  endUserId: string;
  integrationSlug?: string;
  endUserName?: string;
  endUserEmail?: string;
  suggestedConnectionName?: string;
  mode?: Mode;
  allowedOrigins?: string[];
  returnUrl?: string;
  connectionId?: string;
  multiple?: boolean;
  authType?: AuthType;
  scopes?: string[];
  metadata?: Metadata;
  /** Seconds in which the popup has to be opened, 60 to 3600. */
  expiresIn?: number;
}

export interface CreatedSession {
  sessionToken: string;
  connectUrl: string;
  id: string;
  expiresAt: string;
}

export interface Session {
  id: string;
  status: "pending" | "connected" | "failed" | "cancelled" | "expired";
  endUserId: string;
  integrationSlug: string | null;
  mode: Mode;
  returnUrl: string | null;
  lastError: ErrorNote | null;
  connection: Connection | null;
  metadata: Metadata;
  createdAt: string;
  expiresAt: string;
}

/** The newest error of a connection or a session. */
export interface ErrorNote {
  code: string;
  message: string;
  createdAt: string;
}

/** The account at the provider. A value is null if the provider does not return it. */
export interface Account {
  id: string | null;
  label: string | null;
}

export interface ConnectionSummary {
  id: string;
  name: string;
  status: "active" | "needs_reauth";
  error: ErrorNote | null;
  account: Account;
  scopes: string[];
  missingScopes: string[];
  createdAt: string;
  updatedAt: string;
  lastUsedAt: string | null;
  /** When the access token expires. */
  tokenExpiresAt: string | null;
}

export interface Connection extends ConnectionSummary {
  integrationSlug: string;
  endUserId: string;
  authType: AuthType;
  metadata: Metadata;
}

export interface Connections {
  list(
    query?: {
      endUserId?: string;
      integrationSlug?: string;
      status?: "active" | "needs_reauth";
    } & Paging,
    options?: RequestOptions,
  ): Pages<Connection>;
  /** Imports a credential that you hold already. */
  create(input: NewConnection, options?: RequestOptions): Promise<Connection>;
  get(connectionId: string, options?: RequestOptions): Promise<Connection>;
  update(connectionId: string, input: ConnectionUpdate, options?: RequestOptions): Promise<Connection>;
  delete(connectionId: string, options?: RequestOptions): Promise<DeletedConnection>;
  /** Asks the provider whether the credential still works. */
  check(connectionId: string, options?: RequestOptions): Promise<ConnectionCheck>;
  refresh(connectionId: string, options?: RequestOptions): Promise<Connection>;
  /** The API key needs the scope `credentials:read`. */
  credentials(connectionId: string, options?: RequestOptions): Promise<Credentials>;
}

export interface Paging {
  /** Items of a page, 1 to 1000. */
  limit?: number;
  /** The `nextCursor` of the page before. */
  cursor?: string;
}

export interface NewConnection {
  integrationSlug: string;
  endUserId: string;
  authType: AuthType;
  name?: string;
  /** The keys are the integration's own and stay unchanged. */
  params?: Record<string, string>;
  /** The keys are the integration's own and stay unchanged. */
  credentials?: Record<string, string>;
  metadata?: Metadata;
  check?: boolean;
  multiple?: boolean;
}

/** An omitted property changes nothing; `metadata` is replaced as a whole. */
export interface ConnectionUpdate {
  name?: string;
  metadata?: Metadata;
}

export interface ConnectionCheck {
  /** Null if the integration has no check. */
  working: boolean | null;
  reason: string | null;
  connection: Connection;
}

export interface DeletedConnection {
  id: string;
  revocations: Revocation[];
}

export interface Credentials {
  connectionId: string;
  integrationSlug: string;
  authType: AuthType;
  params: Record<string, string>;
  credentials: Record<string, string>;
  /** When the access token expires. */
  tokenExpiresAt: string | null;
}

export interface Revocation {
  connectionId: string;
  token: "access_token" | "refresh_token" | null;
  outcome: "revoked" | "failed" | "not_supported";
  reason: string | null;
}

export interface Disconnection {
  status: "disconnected" | "not_found";
  integrationSlug: string;
  endUserId: string;
  deletedCount: number;
  revocations: Revocation[];
}

export interface EndUsers {
  list(query?: Paging, options?: RequestOptions): Pages<EndUser>;
  /** Deletes an end user with all connections, credentials and sessions. */
  delete(endUserId: string, options?: RequestOptions): Promise<DeletedEndUser>;
}

export interface EndUser {
  endUserId: string;
  name: string | null;
  email: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface DeletedEndUser {
  endUserId: string;
  deletedConnections: number;
  revocations: Revocation[];
}

export interface OrganizationSettings {
  get(options?: RequestOptions): Promise<Organization>;
  /** Replaces all settings: an omitted property resets its setting to the default. */
  replace(input: NewOrganization, options?: RequestOptions): Promise<Organization>;
}

/** The integrations that an organization offers: all, the listed ones, or all but the listed ones. */
export interface Availability {
  mode: "all" | "listed" | "all_but";
  slugs: string[];
}

export interface NewOrganization {
  displayName: string;
  logoUrl?: string | null;
  privacyUrl?: string | null;
  allowedOrigins?: string[];
  returnUrls?: string[];
  integrations?: Partial<Availability>;
}

export interface Organization {
  id: string;
  displayName: string;
  logoUrl: string | null;
  privacyUrl: string | null;
  allowedOrigins: string[];
  returnUrls: string[];
  integrations: Availability;
  createdAt: string;
  updatedAt: string;
}

export interface OAuthClients {
  list(options?: RequestOptions): Promise<OAuthClient[]>;
  get(integrationSlug: string, options?: RequestOptions): Promise<OAuthClient>;
  replace(integrationSlug: string, input: NewOAuthClient, options?: RequestOptions): Promise<OAuthClient>;
  delete(integrationSlug: string, options?: RequestOptions): Promise<void>;
}

export interface NewOAuthClient {
  clientId: string;
  /** Omit it to keep the stored secret of the same `clientId`. */
  clientSecret?: string;
  scopes?: string[];
  hosts?: string[];
  /** The keys are the integration's own and stay unchanged. */
  fields?: Record<string, string>;
}

export interface OAuthClient {
  integrationSlug: string;
  clientId: string;
  clientSecretLastFour: string | null;
  scopes: string[] | null;
  hosts: string[];
  fields: string[];
  /** Register it with the provider as the redirect URI. */
  redirectUrl: string;
  createdAt: string;
  updatedAt: string;
}

/** An entry in the catalog's format or an OpenAPI document: an object, or text in YAML or JSON. Sent unchanged. */
export type Definition = { [key: string]: unknown } | string;

export interface CustomIntegrations {
  list(options?: RequestOptions): Promise<CustomIntegration[]>;
  create(definition: Definition, options?: RequestOptions): Promise<CustomIntegration>;
  get(slug: string, options?: RequestOptions): Promise<CustomIntegration>;
  replace(slug: string, definition: Definition, options?: RequestOptions): Promise<CustomIntegration>;
  delete(slug: string, query?: { deleteConnections?: boolean }, options?: RequestOptions): Promise<void>;
}

export interface CustomIntegration extends CatalogIntegration {
  enabled: boolean;
  definition: { [key: string]: unknown };
  warnings: string[];
  /** Connections that end users have to make again: the definition now sends credentials to another place. */
  invalidatedConnections: number;
  createdAt: string;
  updatedAt: string;
}

export interface Events {
  list(
    query?: { type?: string; endUserId?: string; connectionId?: string } & Paging,
    options?: RequestOptions,
  ): Pages<Event>;
}

export interface Event {
  id: string;
  type: string;
  createdAt: string;
  actor: Actor;
  address: string | null;
  endUserId: string | null;
  connectionId: string | null;
  data: { [key: string]: unknown };
}

/** `type` is `api_key`, `end_user` or `system`. */
export interface Actor {
  type: string;
  id: string | null;
}

export interface ProxyRequests {
  /** Lists calls through the proxy, newest first. */
  list(
    query?: { endUserId?: string; connectionId?: string; integrationSlug?: string; httpStatus?: number } & Paging,
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
  /** Without the query. */
  path: string;
  /** 0 if the caller closed the connection before the answer began. */
  httpStatus: number;
  /** Set if One Runtime failed, not the provider. */
  errorCode: string | null;
  attempts: number;
  requestBytes: number;
  responseBytes: number;
  durationMs: number;
  upstreamMs: number | null;
}

export type ProxyBody = NonNullable<RequestInit["body"]> | Readable | AsyncIterable<Uint8Array>;

/** The connection of a call: the newest active one of `endUserId`, or `connectionId`. With both, they have to match. */
export type ConnectionSelector =
  | { endUserId: string; connectionId?: string }
  | { connectionId: string; endUserId?: string };

export type ProxyOptions = ConnectionSelector & CallOptions;

export interface CallOptions {
  query?: string | URLSearchParams | Record<string, QueryValue | QueryValue[]>;
  /** Sent as JSON; its keys stay unchanged. */
  json?: unknown;
  body?: ProxyBody;
  headers?: NonNullable<RequestInit["headers"]>;
  signal?: AbortSignal;
  /** Milliseconds that the provider may be silent, at most 600000. The default is the client's own `timeout`. */
  timeout?: number;
  /** One Runtime repeats an idempotent call when the provider is overloaded or unreachable, and never a POST. */
  retry?: boolean;
  /** Another address of the integration. */
  baseUrl?: string;
}

export type QueryValue = string | number | boolean | null | undefined;

/**
 * The provider's API. A method resolves with the provider's response, whatever its status. It rejects with errors of
 * One Runtime, and with `unexpected_answer` if another server in between answered.
 */
export interface ProviderProxy {
  request(method: string, integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  get(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  head(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  post(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  put(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  patch(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
  delete(integrationSlug: string, path: string, options: ProxyOptions): Promise<Response>;
}

/** A refused field, by its name in the API, and a sentence. */
export interface FieldError {
  field: string;
  message: string;
}

export class OneRuntimeError extends Error {
  /** Stable. The client's own codes are `connection_failed`, `timeout` and `unexpected_answer`. */
  readonly code: string;
  /** Null if there was no answer. */
  readonly status: number | null;
  readonly detail: string;
  readonly requestId: string | null;
  readonly errors: FieldError[];
  /** The provider's own words, for `credentials_refused`. */
  readonly providerReason: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;
}
/** The end user has to connect (again): create a session. */
export class ConnectRequired extends OneRuntimeError {}
/** The resource does not exist, or belongs to another organization. */
export class NotFound extends OneRuntimeError {}
/** One Runtime refused a value of the request. `errors` names the fields. */
export class InvalidInput extends OneRuntimeError {}
/** The API key is missing, mistyped, revoked, or belongs to another installation. */
export class Unauthenticated extends OneRuntimeError {}
/** There were too many requests, and the retries did not help. */
export class RateLimited extends OneRuntimeError {}
/** One Runtime cannot answer at the moment, and the retries did not help. */
export class Unavailable extends OneRuntimeError {}
/** One Runtime was not reached or did not answer in time. It may have carried out the request. */
export class ConnectionFailed extends OneRuntimeError {}

/** Every operation of the API, by the method of the client. */
export const OPERATIONS: Readonly<
  Record<
    string,
    Readonly<{
      method: string;
      path: string;
      takes?: "query" | "body" | "definition";
      items?: string;
      paged?: boolean;
      defaults?: Readonly<Record<string, string>>;
    }>
  >
>;
