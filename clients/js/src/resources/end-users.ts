/** The users of your product: types and operations. */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { Metadata, Revocation } from "./connections.js";

export interface EndUsers {
  /** Lists end users, ordered by `endUserId`. `since` and `until` select by the time of creation. */
  list(
    query?: {
      endUserId?: string | string[];
      email?: string | string[];
      since?: string;
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<EndUser>;
  get(endUserId: string, options?: RequestOptions): Promise<EndUser>;
  /** Changes an end user. A property with null clears the value. Each key of `metadata` changes only this key. */
  update(endUserId: string, input: EndUserUpdate, options?: RequestOptions): Promise<EndUser>;
  /** Deletes an end user with all connections, credentials and sessions. */
  delete(endUserId: string, options?: RequestOptions): Promise<DeletedEndUser>;
}

export interface EndUser {
  endUserId: string;
  name: string | null;
  email: string | null;
  createdAt: string;
  updatedAt: string;
  metadata: Metadata;
}

/** Changes of an end user. An omitted property changes nothing, and null clears the value. */
export interface EndUserUpdate {
  name?: string | null;
  email?: string | null;
  metadata?: Metadata | null;
}

export interface DeletedEndUser {
  endUserId: string;
  deletedConnections: number;
  revocations: Revocation[];
}

export default resource<EndUsers>("endUsers")({
  list: {
    method: "GET",
    path: "/v1/end-users",
    takes: "query",
    items: "endUsers",
    paged: true,
    returns: ["endUserId", "createdAt"],
  },
  get: { method: "GET", path: "/v1/end-users/{end_user_id}", returns: ["endUserId", "createdAt"] },
  update: {
    method: "PATCH",
    path: "/v1/end-users/{end_user_id}",
    takes: "body",
    returns: ["endUserId", "createdAt"],
  },
  delete: { method: "DELETE", path: "/v1/end-users/{end_user_id}", returns: ["endUserId", "deletedConnections"] },
});
