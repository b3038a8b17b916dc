/** The users of your product: types and operations. */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { Revocation } from "./connections.js";

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

export default resource<EndUsers>("endUsers")({
  list: {
    method: "GET",
    path: "/v1/end-users",
    takes: "query",
    items: "endUsers",
    paged: true,
    returns: ["endUserId", "createdAt"],
  },
  delete: { method: "DELETE", path: "/v1/end-users/{end_user_id}", returns: ["endUserId", "deletedConnections"] },
});
