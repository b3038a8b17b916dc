/** The built-in integrations: types and operations. */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export type AuthType = "oauth2" | "api_key" | "basic" | "client_credentials" | "none";

export type Logo = "inline" | "url" | "none";

export interface Catalog {
  list(query?: CatalogQuery, options?: RequestOptions): Promise<CatalogIntegration[]>;
  get(slug: string, query?: { logo?: Logo }, options?: RequestOptions): Promise<CatalogDetail>;
  categories(options?: RequestOptions): Promise<Category[]>;
}

export interface CatalogQuery {
  slug?: string | string[];
  category?: string;
  search?: string;
  /** Default in this client: `url`. */
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
  /** The page on which you register an OAuth client. */
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

export default resource<Catalog>("catalog")({
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
    returns: ["id", "slug", "auth"],
    defaults: { logo: "url" },
  },
  categories: { method: "GET", path: "/v1/catalog/categories", items: "categories", returns: ["name", "count"] },
});
