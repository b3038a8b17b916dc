/** Relaying a provider's response to a browser. */

/** The headers that describe the body. The other headers are for One Runtime, or act on the site that sends them. */
const FORWARDED = [
  "cache-control",
  "content-disposition",
  "content-language",
  "content-range",
  "content-type",
  "etag",
  "last-modified",
  "link",
  "retry-after",
];

/**
 * Returns a response that a route of your product can send to a browser. `fetch` has already decompressed the body, so
 * the provider's `Content-Encoding` and `Content-Length` no longer describe it. `Set-Cookie` and other headers that act
 * on your site are omitted. A browser shows a forwarded page without scripts.
 */
export function forward(response: Response): Response {
  const headers = new Headers({ "content-security-policy": "sandbox", "x-content-type-options": "nosniff" });
  for (const name of FORWARDED) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
