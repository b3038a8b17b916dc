/**
 * The settings of your organization.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export interface OrganizationSettings {
  /**
   * Return the settings of your organization.
   *
   * The API key needs the scope `read`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(options?: RequestOptions): Promise<Organization>;
  /**
   * Replace all settings of your organization. `PATCH /v1/organization` changes only the settings that you send.
   *
   * A request that changes nothing writes no event, and `updatedAt` stays the same.
   *
   * The API key needs the scope `admin`.
   *
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  replace(input: NewOrganization, options?: RequestOptions): Promise<Organization>;
  /**
   * Change some settings of your organization. The body is a JSON Merge Patch (RFC 7396).
   *
   * A request that changes nothing writes no event, and `updatedAt` stays the same.
   *
   * The API key needs the scope `admin`.
   *
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  update(input: OrganizationUpdate, options?: RequestOptions): Promise<Organization>;
}

/**
 * All settings of your organization. One Runtime resets an omitted setting to its default.
 *
 * The body can also contain the other fields of the organization, as you have read them. `id` and `createdAt` must have
 * the present values. One Runtime ignores `updatedAt`.
 */
export interface NewOrganization {
  /** The name that end users see. */
  displayName: string;
  /** A data URI of a PNG, JPEG, WebP or SVG in base64. The decoded image can have at most 64 kB. */
  logoUrl?: string | null;
  /** The URL of your privacy policy, or null. */
  privacyUrl?: string | null;
  /** The origins of pages that can show the popup. */
  allowedOrigins?: string[];
  /** The registered return URLs. */
  returnUrls?: string[];
  /** The integrations that your end users can connect. Default: all. */
  integrations?: Partial<Availability>;
  /** The limits of all agents of your organization. */
  agents?: Partial<AgentSettings>;
  /** The appearance of the popup and of its pages. */
  branding?: Partial<Branding>;
  /**
   * What happens to a call that names none of an end user's several active connections: `refuse` answers with 409
   * `severalConnections`, and `use_default` uses the end user's [default connection](api.md#default-connections), if
   * there is one. Default: `"refuse"`.
   */
  severalConnections?: "refuse" | "use_default";
}

/**
 * The settings to change (RFC 7396). An omitted setting keeps its value, and null resets a setting to its default.
 *
 * A new list replaces the old list. `displayName` cannot be null.
 */
export interface OrganizationUpdate {
  /** The name that end users see. */
  displayName?: string;
  /** The URL of the logo: a URL on this server, a data URI, or null. */
  logoUrl?: string | null;
  /** The URL of your privacy policy, or null. */
  privacyUrl?: string | null;
  /** The origins of pages that can show the popup. */
  allowedOrigins?: string[] | null;
  /** The registered return URLs. */
  returnUrls?: string[] | null;
  /** The integrations that your end users can connect. */
  integrations?: AvailabilityUpdate | null;
  /** The limits of all agents of your organization. */
  agents?: AgentSettingsUpdate | null;
  /** The appearance of the popup and of its pages. */
  branding?: BrandingUpdate | null;
  /**
   * What happens to a call that names none of an end user's several active connections: `refuse` answers with 409
   * `severalConnections`, and `use_default` uses the end user's [default connection](api.md#default-connections), if
   * there is one.
   */
  severalConnections?: "refuse" | "use_default" | null;
}

/** The part of the branding to change. Null resets a setting to its default. */
export interface BrandingUpdate {
  /** The color of buttons, links and focus rings in the light scheme, or null. */
  accentColor?: string | null;
  /** The color in the dark scheme. Null: derived from `accentColor`. */
  accentColorDark?: string | null;
  /** The radius of corners. */
  radius?: "none" | "small" | "medium" | "large" | null;
  /** The color scheme. `auto` follows the end user's browser. */
  scheme?: "auto" | "light" | "dark" | null;
  /** Your logo in the dark scheme, as a data URI. Null: the same logo. */
  logoDarkUrl?: string | null;
  /** True hides the line “Powered by One Runtime”. */
  hidePoweredBy?: boolean | null;
}

/** The limits to change. A new list replaces the old list. */
export interface AgentSettingsUpdate {
  /** `read`: only reading calls. `ask`: also approved calls. `write`: all calls. */
  access?: "read" | "ask" | "write" | null;
  /** The slugs that the agent can use. Null: all integrations. */
  integrations?: string[] | null;
  /** The hosts that the agent can call. Null: all hosts of the integrations. */
  hosts?: string[] | null;
  /** The HTTP methods that the agent can use. Null: all methods. */
  methods?: ("GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE")[] | null;
  /** The number of calls that one program of the agent can make. */
  callsPerRun?: number | null;
  /** The new page, or null. */
  connectUrl?: string | null;
  /** The new page, or null. */
  signInUrl?: string | null;
}

/** The part of the availability to change. A new list of `slugs` replaces the old list. */
export interface AvailabilityUpdate {
  /** `all`: every integration. `listed`: only `slugs`. `all_but`: every integration except `slugs`. */
  mode?: "all" | "listed" | "all_but" | null;
  /** Slugs of integrations. The meaning depends on `mode`. */
  slugs?: string[] | null;
}

/**
 * The integrations that your end users can connect.
 *
 * `mode`: `all` enables every integration. `listed` enables only the integrations in `slugs`. `all_but` disables the
 * integrations in `slugs`, and enables every other integration.
 */
export interface Availability {
  /** `all`: every integration. `listed`: only `slugs`. `all_but`: every integration except `slugs`. */
  mode: "all" | "listed" | "all_but";
  /** Slugs of integrations. The meaning depends on `mode`. */
  slugs: string[];
}

/**
 * The limits of all agents of your organization. The limits of an end-user token apply too.
 *
 * `connectUrl`: a page of your product, on which an end user connects an account for an agent, or approves a call. One
 * Runtime adds the query parameter `connectRequestId` or `approvalRequestId`. Null: accounts are connected on One
 * Runtime's own page, in the mode `link`, and approvals are not possible.
 *
 * `signInUrl`: a page of your product, on which an end user signs in and approves an agent. One Runtime adds the query
 * parameter `agentAuthorizationId`. Null: end users cannot add your MCP address to an agent.
 */
export interface AgentSettings {
  /** `read`: only reading calls. `ask`: also approved calls. `write`: all calls. */
  access: "read" | "ask" | "write";
  /** The slugs that the agent can use. Null: all integrations. */
  integrations?: string[];
  /** The hosts that the agent can call. Null: all hosts of the integrations. */
  hosts?: string[];
  /** The HTTP methods that the agent can use. Null: all methods. */
  methods?: ("GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE")[];
  /** The number of calls that one program of the agent can make. */
  callsPerRun: number;
  /** The page of your product on which an end user connects an account for an agent, or null. */
  connectUrl?: string;
  /** The page of your product on which an end user signs in and approves an agent, or null. */
  signInUrl?: string;
}

/**
 * The appearance of the popup and of its pages.
 *
 * `accentColor`: the color of buttons, links and focus rings in the light scheme, such as `#2450c4`. Null: black.
 * `accentColorDark`: the color in the dark scheme. Null: One Runtime derives the color from `accentColor`. A color
 * needs a contrast of at least 3 to the popup's background. One Runtime chooses black or white text for buttons.
 *
 * `radius`: the radius of corners. `scheme`: `auto` follows the end user's browser. `logoDarkUrl`: your logo in the
 * dark scheme, as a data URI. Null: the logo in `logoUrl`. `hidePoweredBy`: hide the line “Powered by One Runtime”.
 */
export interface Branding {
  /** The color of buttons, links and focus rings in the light scheme, or null. */
  accentColor?: string;
  /** The color in the dark scheme. Null: derived from `accentColor`. */
  accentColorDark?: string;
  /** The radius of corners. */
  radius: "none" | "small" | "medium" | "large";
  /** The color scheme. `auto` follows the end user's browser. */
  scheme: "auto" | "light" | "dark";
  /** Your logo in the dark scheme, as a data URI. Null: the same logo. */
  logoDarkUrl?: string;
  /** True hides the line “Powered by One Runtime”. */
  hidePoweredBy: boolean;
}

/** Your organization, with all its settings. */
export interface Organization {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The name that end users see. */
  displayName: string;
  /** The data URI of your logo, or null. */
  logoUrl: string | null;
  /** The URL of your privacy policy, or null. */
  privacyUrl: string | null;
  /** The origins of pages that can show the popup. */
  allowedOrigins: string[];
  /** The registered return URLs. */
  returnUrls: string[];
  /** The integrations that your end users can connect. */
  integrations: Availability;
  /** The limits of all agents of your organization. */
  agents: AgentSettings;
  /** The appearance of the popup and of its pages. */
  branding: Branding;
  /**
   * What happens to a call that names none of an end user's several active connections: `refuse` answers with 409
   * `severalConnections`, and `use_default` uses the end user's [default connection](api.md#default-connections), if
   * there is one.
   */
  severalConnections: "refuse" | "use_default";
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time of the last change, as in RFC 3339. */
  updatedAt: string;
}

export default resource<OrganizationSettings>("organization")({
  get: {
    method: "GET",
    path: "/v1/organization",
    returns: ["id", "displayName", "allowedOrigins"],
  },
  replace: {
    method: "PUT",
    path: "/v1/organization",
    takes: "body",
    returns: ["id", "displayName", "allowedOrigins"],
  },
  update: {
    method: "PATCH",
    path: "/v1/organization",
    takes: "body",
    returns: ["id", "displayName", "allowedOrigins"],
  },
});
