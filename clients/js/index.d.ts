/** Types of One Runtime's JavaScript client. Names are those of the API (docs/api.md) in camelCase. */

import type { Readable } from "node:stream";

export type AuthType = "oauth2" | "api_key" | "basic" | "client_credentials" | "none";
export type Expand = "connections";
export type Logo = "inline" | "url" | "none";
export type Mode = "embed" | "redirect" | "link";
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
/** An object of yours. Its keys stay as they are. */
export type Metadata = { [key: string]: Json };

export interface Options {
  /** Where One Runtime is: `https://connect.example.com`. */
  baseUrl: string;
  /** `oru_…`: of your organization. It belongs on a server only. */
  apiKey: string;
  fetch?: typeof globalThis.fetch;
  /** Milliseconds that one attempt may take, 60000 by default; in a proxied call, that the provider may be silent. */
  timeout?: number;
  /** What waits between two attempts, in milliseconds. */
  sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<unknown>;
}

export interface RequestOptions {
  signal?: AbortSignal;
}

/** A list that comes in pages. Each loop over it asks anew, for a page when it gets there. */
export interface Pages<T> extends AsyncIterable<T> {
  /** All of it at once. */
  toArray(): Promise<T[]>;
  /** One page: the first one, or the one at a `nextCursor`. */
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
  /** Deletes every connection of the end user at the integration. Calling it twice is safe. */
  disconnect(input: { integrationSlug: string; endUserId: string }, options?: RequestOptions): Promise<Disconnection>;
}

export interface Integrations {
  /** What an end user can connect, and what is connected. `not_connected` never means "purge". */
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
  /** With `expand: "connections"`. */
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
  oauth2: {
    scopes: string[];
    pkce: string;
    refresh: "rotates" | "static" | "optional" | "none";
    client: "organization" | "customer";
    clientUrl: string | null;
  } | null;
  verified: { how: "documentation" | "fixture" | "live" | "unverified"; date: string | null };
}

export interface CatalogField {
  name: string;
  label: string;
  help: string | null;
  placeholder: string | null;
  pattern: string | null;
  secret: boolean;
  optional: boolean;
  options: { value: string; label: string }[];
}

export interface Sessions {
  /** A permission for one end user to make one connection. Log neither `sessionToken` nor `connectUrl`. */
  create(input: NewSession, options?: RequestOptions): Promise<CreatedSession>;
  get(sessionId: string, options?: RequestOptions): Promise<Session>;
  cancel(sessionId: string, options?: RequestOptions): Promise<Session>;
  /** `endUserId`: who is signed in where the browser came back, from your own login, never from the address. */
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
  /** Seconds to open it, 60 to 3600. */
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

export interface ErrorNote {
  code: string;
  message: string;
  createdAt: string;
}

export interface ConnectionSummary {
  id: string;
  name: string;
  status: "active" | "needs_reauth";
  error: ErrorNote | null;
  account: { id: string | null; label: string | null };
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
  update(
    connectionId: string,
    input: { name?: string; metadata?: Metadata },
    options?: RequestOptions,
  ): Promise<Connection>;
  delete(connectionId: string, options?: RequestOptions): Promise<DeletedConnection>;
  /** Asks the provider whether the credential still works. */
  check(
    connectionId: string,
    options?: RequestOptions,
  ): Promise<ConnectionCheck>;
  refresh(connectionId: string, options?: RequestOptions): Promise<Connection>;
  /** Wants the scope `credentials:read`. */
  credentials(connectionId: string, options?: RequestOptions): Promise<Credentials>;
}

export interface Paging {
  /** Items of one page, 1 to 1000. */
  limit?: number;
  /** Where to begin: the `nextCursor` of a page. */
  cursor?: string;
}

export interface NewConnection {
  integrationSlug: string;
  endUserId: string;
  authType: AuthType;
  name?: string;
  /** By the integration's own names, which stay as they are. */
  params?: Record<string, string>;
  /** By the integration's own names, which stay as they are. */
  credentials?: Record<string, string>;
  metadata?: Metadata;
  check?: boolean;
  multiple?: boolean;
}

export interface ConnectionCheck {
  /** Null where the integration has no check. */
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
  /** Forgets an end user: connections, credentials and sessions. */
  delete(
    endUserId: string,
    options?: RequestOptions,
  ): Promise<DeletedEndUser>;
}

export interface DeletedEndUser {
  endUserId: string;
  deletedConnections: number;
  revocations: Revocation[];
}

export interface EndUser {
  endUserId: string;
  name: string | null;
  email: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface OrganizationSettings {
  get(options?: RequestOptions): Promise<Organization>;
  /** Sets the whole of it: what is left out goes back to its default. */
  replace(input: NewOrganization, options?: RequestOptions): Promise<Organization>;
}

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
  /** Left out with the same `clientId`, the one before stays. */
  clientSecret?: string;
  scopes?: string[];
  hosts?: string[];
  /** By the integration's own names, which stay as they are. */
  fields?: Record<string, string>;
}

export interface OAuthClient {
  integrationSlug: string;
  clientId: string;
  clientSecretLastFour: string | null;
  scopes: string[] | null;
  hosts: string[];
  fields: string[];
  redirectUrl: string;
  createdAt: string;
  updatedAt: string;
}

/** An entry in the catalog's format, or an OpenAPI document: an object, or its text as YAML or JSON. Sent as it is. */
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
  /** Connections that have to be made again, because the entry now sends credentials elsewhere. */
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
  actor: { type: string; id: string | null };
  address: string | null;
  endUserId: string | null;
  connectionId: string | null;
  data: { [key: string]: unknown };
}

export interface ProxyRequests {
  /** Calls through the proxy, newest first. */
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
  /** Without its query. */
  path: string;
  /** 0 where the caller closed the connection before the answer began. */
  httpStatus: number;
  /** One Runtime's error code, where One Runtime failed and not the provider. */
  errorCode: string | null;
  attempts: number;
  requestBytes: number;
  responseBytes: number;
  durationMs: number;
  upstreamMs: number | null;
}

export type ProxyBody = NonNullable<RequestInit["body"]> | Readable | AsyncIterable<Uint8Array>;

/** Whose connection to use: the end user's newest one, or the one with this id, which has to be theirs. */
export type Whose = { endUserId: string; connectionId?: string } | { connectionId: string; endUserId?: string };

export type ProxyOptions = Whose & CallOptions;

export interface CallOptions {
  query?: string | URLSearchParams | Record<string, QueryValue | QueryValue[]>;
  /** Sent as JSON, with its keys as they are. */
  json?: unknown;
  body?: ProxyBody;
  headers?: NonNullable<RequestInit["headers"]>;
  signal?: AbortSignal;
  /** Milliseconds that the provider may be silent, 600000 at the most; 60000, or the client's own, by default. */
  timeout?: number;
  /** One Runtime asks the provider again where it is busy or away, for methods that may be repeated. */
  retry?: boolean;
  /** Another of the integration's addresses. */
  baseUrl?: string;
}

export type QueryValue = string | number | boolean | null | undefined;

/**
 * The provider's API. The answer is the provider's, whatever its status; thrown are One Runtime's own errors, and
 * `unexpected_answer` where something that stands between has answered.
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

export class OneRuntimeError extends Error {
  /** Stable; `connection_failed`, `timeout` and `unexpected_answer` are the client's own. */
  readonly code: string;
  /** Null where there was no answer. */
  readonly status: number | null;
  readonly detail: string;
  readonly requestId: string | null;
  /** The refused fields, by the API's names. */
  readonly errors: { field: string; message: string }[];
  /** The provider's own words, of `credentials_refused`. */
  readonly providerReason: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;
}
/** The end user has to connect, or to connect again: make a session for them. */
export class ConnectRequired extends OneRuntimeError {}
export class NotFound extends OneRuntimeError {}
export class InvalidInput extends OneRuntimeError {}
export class Unauthenticated extends OneRuntimeError {}
export class RateLimited extends OneRuntimeError {}
export class Unavailable extends OneRuntimeError {}
/** One Runtime was not reached, or did not answer in time; nothing is known of what became of the request. */
export class ConnectionFailed extends OneRuntimeError {}

/** Every operation of the API, by the method of the client that does it. */
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
