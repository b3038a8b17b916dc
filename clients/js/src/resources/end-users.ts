/**
 * The users of your product.
 *
 * `python -m scripts.generate_clients` writes this file.
 */

import { resource } from "../operations.js";
import type { Pages, Paging } from "../pages.js";
import type { RequestOptions } from "../transport.js";
import type { Metadata } from "../values.js";
import type { Revocation } from "./connections.js";

export interface EndUsers {
  /**
   * List the end users of your organization in pages, ordered by identifier.
   *
   * The API key needs the scope `read`.
   *
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  list(
    query?: {
      /** Your own identifier of the end user. */
      endUserId?: string | string[];
      /** The end user's e-mail address, or null. */
      email?: string | string[];
      /** Only items at or after this time, as in RFC 3339. */
      since?: string;
      /** Only items before this time, as in RFC 3339. */
      until?: string;
    } & Paging,
    options?: RequestOptions,
  ): Pages<EndUser>;
  /**
   * Return an end user of your organization.
   *
   * The API key needs the scope `read`.
   *
   * @param endUserId Your own identifier of the end user.
   * @throws {NotFound} with the code `not_found`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  get(endUserId: string, options?: RequestOptions): Promise<EndUser>;
  /**
   * Change an end user. The body is a JSON Merge Patch (RFC 7396).
   *
   * A request that changes nothing writes no event, and `updatedAt` stays the same.
   *
   * The API key needs the scope `connect`.
   *
   * @param endUserId Your own identifier of the end user.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  update(endUserId: string, input: EndUserUpdate, options?: RequestOptions): Promise<EndUser>;
  /**
   * Delete an end user, and all connections, credentials and sessions of this end user.
   *
   * One Runtime removes the end user's identifier from all events of the audit log. Only webhook endpoints receive the
   * identifier, with the event `end_user.deleted`.
   *
   * The API key needs the scope `admin`.
   *
   * @param endUserId Your own identifier of the end user.
   * @throws {NotFound} with the code `not_found`.
   * @throws {Conflict} with the code `precondition_failed`.
   * @throws {InvalidInput} with the code `invalid_input`.
   */
  delete(endUserId: string, options?: RequestOptions): Promise<DeletedEndUser>;
}

/**
 * The fields to change, as a JSON Merge Patch (RFC 7396). An omitted field keeps its value, and null clears it.
 *
 * `metadata`: each key changes only this key. A key with null removes the key. With null instead of an object, all keys
 * are removed.
 */
export interface EndUserUpdate {
  /** The name. */
  name?: string | null;
  /** The end user's e-mail address, or null. */
  email?: string | null;
  /**
   * The changes of the metadata. Each key changes only this key, and a key with null is removed. The client does not
   * change the keys.
   */
  metadata?: Metadata | null;
}

/** The deleted end user, and the results of revoking the tokens. */
export interface DeletedEndUser {
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The number of deleted connections. */
  deletedConnections: number;
  /** The result of revoking each token at the provider. */
  revocations: Revocation[];
}

/** A user of your product. `endUserId`: your own identifier of this user. */
export interface EndUser {
  /** Your own identifier of the end user. */
  endUserId: string;
  /** The end user's name, or null. */
  name: string | null;
  /** The end user's e-mail address, or null. */
  email: string | null;
  /** The time of the creation, as in RFC 3339. */
  createdAt: string;
  /** The time of the last change, as in RFC 3339. */
  updatedAt: string;
  /** An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not interpret it. */
  metadata: Metadata;
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
  get: {
    method: "GET",
    path: "/v1/end-users/{end_user_id}",
    returns: ["endUserId", "createdAt"],
  },
  update: {
    method: "PATCH",
    path: "/v1/end-users/{end_user_id}",
    takes: "body",
    returns: ["endUserId", "createdAt"],
  },
  delete: {
    method: "DELETE",
    path: "/v1/end-users/{end_user_id}",
    returns: ["endUserId", "deletedConnections"],
  },
});
