/** Values of your own in requests. */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** An object of your own. The client does not change its keys. */
export type Metadata = { [key: string]: Json };

/** An entry in the catalog's format or an OpenAPI document, as an object or as text in YAML or JSON. */
export type Definition = { [key: string]: unknown } | string;
