/**
 * The public list of the built-in integrations. These requests need no API key.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export type AuthType = "api_key" | "basic" | "none" | "oauth2" | "client_credentials";

export type Logo = "inline" | "url" | "none";

export interface Catalog {
  /**
   * List the categories that contain at least one integration. The request needs no API key.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  categories(options?: RequestOptions): Promise<Category[]>;
  /**
   * List every built-in integration with all its auth types. The request needs no API key.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(query?: CatalogQuery, options?: RequestOptions): Promise<CatalogIntegration[]>;
  /**
   * Return a built-in integration with the fields of all its auth types. The request needs no API key.
   *
   * @param slug The slug: the name of the integration in URLs and requests.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(
    slug: string,
    query?: {
      /** The form of `logoUrl`. `inline`: a data URI. `url`: a URL on this server. `none`: null. Default: `"url"`. */
      logo?: Logo;
    },
    options?: RequestOptions,
  ): Promise<CatalogDetail>;
}

/** The part of a query that selects integrations. */
export interface CatalogQuery {
  /** Slugs to return. You can repeat the parameter. */
  slug?: string | string[];
  /** Only integrations of this category. */
  category?: string;
  /** Text to search for. The best match is first. */
  search?: string;
  /** Format of the logos. Default: `"url"`. */
  logo?: Logo;
}

/** An option of a field. */
export interface CatalogFieldOption {
  /** The value of the option. */
  value: string;
  /** The label of the option for end users. */
  label: string;
}

/** A field of the form that end users fill in. `secret` is false for a value such as a subdomain. */
export interface CatalogField {
  /** The key of the value in `params` or `credentials`. */
  name: string;
  /** The label of the field for end users. */
  label: string;
  /** A text that explains the field, or null. */
  help: string | null;
  /** An example of the value, or null. */
  placeholder: string | null;
  /** A regular expression that must match the whole value, or null. */
  pattern: string | null;
  /** True if the value is secret. */
  secret: boolean;
  /** True if the end user can leave the field empty. */
  optional: boolean;
  /** The values from which the end user chooses. Empty for a text field. */
  options: CatalogFieldOption[];
}

/** Facts about the provider's OAuth 2.0 authorization. */
export interface CatalogOAuth2 {
  /** The scopes that One Runtime requests by default. */
  scopes: string[];
  /** The provider's support for PKCE (RFC 7636). */
  pkce: "required" | "supported" | "tolerated" | "avoid" | "unknown";
  /** The kind of refresh token that the provider issues. */
  refresh: "rotates" | "static" | "optional" | "none";
  /** `organization`: your organization registers one OAuth client. `customer`: each end user enters one. */
  client: "organization" | "customer";
  /** The provider's page for registering an OAuth client, or null. */
  clientUrl: string | null;
}

/**
 * The evidence that the integration's definition is correct, and the date of the evidence.
 *
 * `how` has one of these values:
 *
 * - `documentation`: the definition was compared with the provider's documentation.
 * - `fixture`: in addition to this comparison, a test compares One Runtime's request with a documented example.
 * - `live`: the definition was tested with the provider.
 * - `unverified`: there is no evidence, and `date` is null.
 */
export interface CatalogVerified {
  /** The kind of evidence. */
  how: "documentation" | "fixture" | "live" | "unverified";
  /** The date of the evidence, or null. */
  date: string | null;
}

/** A way to authenticate (auth type) with its fields. Only the auth type `oauth2` has a value in `oauth2`. */
export interface CatalogAuth {
  /** The auth type: the way to authenticate with the provider. */
  authType: AuthType;
  /** The values that are not secret. The popup asks the end user for them. */
  params: CatalogField[];
  /** The credential fields, such as an API key. The popup asks the end user for them. */
  fields: CatalogField[];
  /** Facts about OAuth 2.0. Null for other auth types. */
  oauth2: CatalogOAuth2 | null;
  /** The evidence that the definition is correct. */
  verified: CatalogVerified;
}

/** A built-in integration. */
export interface CatalogIntegration {
  /** The id. Ids are UUIDs. */
  id: string;
  /** The slug: the name of the integration in URLs and requests. */
  slug: string;
  /** The name. */
  name: string;
  /** The purpose of the product, in one sentence. */
  description: string;
  /** The URL of the logo: a URL on this server, a data URI, or null. */
  logoUrl: string | null;
  /** The category. */
  category: string;
  /** All auth types. */
  supportedAuthTypes: AuthType[];
}

/** A built-in integration with the fields of all its auth types. */
export interface CatalogDetail extends CatalogIntegration {
  /** The product's website. */
  website: string;
  /** The provider's API documentation, or null. */
  docs: string | null;
  /** The auth types, each with its fields. */
  auth: CatalogAuth[];
}

/** A category. `count`: the number of integrations in the category. */
export interface Category {
  /** The name of the category. */
  name: string;
  /** The number of integrations in the category. */
  count: number;
}

export default resource<Catalog>("catalog")({
  categories: {
    method: "GET",
    path: "/v1/catalog/categories",
    items: "categories",
    returns: ["name", "count"],
  },
  list: {
    method: "GET",
    path: "/v1/catalog/integrations",
    takes: "query",
    items: "integrations",
    returns: ["id", "slug", "name"],
    defaults: { logo: "url" },
  },
  get: {
    method: "GET",
    path: "/v1/catalog/integrations/{slug}",
    takes: "query",
    returns: ["id", "slug", "name"],
    defaults: { logo: "url" },
  },
});
