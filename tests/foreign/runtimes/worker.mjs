/** A Cloudflare worker. */

import { run } from "./everywhere.mjs";

export default { fetch: async (request) => Response.json(await run(await request.json())) };
