/** Your organization: types and operations. */

import { resource } from "../operations.js";
import type { RequestOptions } from "../transport.js";

export interface OrganizationSettings {
  get(options?: RequestOptions): Promise<Organization>;
  /** Changes some settings. An omitted property keeps its setting. Null resets a setting to its default. */
  update(input: OrganizationUpdate, options?: RequestOptions): Promise<Organization>;
  /** Replaces all settings. An omitted property resets its setting to the default. */
  replace(input: NewOrganization, options?: RequestOptions): Promise<Organization>;
}

/** The integrations that an organization offers: all, only the `slugs`, or all except the `slugs`. */
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

/** Settings to change. A list replaces the old list. */
export interface OrganizationUpdate {
  displayName?: string;
  logoUrl?: string | null;
  privacyUrl?: string | null;
  allowedOrigins?: string[] | null;
  returnUrls?: string[] | null;
  integrations?: AvailabilityUpdate | null;
}

export interface AvailabilityUpdate {
  mode?: Availability["mode"] | null;
  slugs?: string[] | null;
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

export default resource<OrganizationSettings>("organization")({
  get: { method: "GET", path: "/v1/organization", returns: ["id", "displayName"] },
  update: { method: "PATCH", path: "/v1/organization", takes: "body", returns: ["id", "displayName"] },
  replace: { method: "PUT", path: "/v1/organization", takes: "body", returns: ["id", "displayName"] },
});
