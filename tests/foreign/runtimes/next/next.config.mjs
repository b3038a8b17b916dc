import { dirname } from "node:path";

export default { devIndicators: false, turbopack: { root: dirname(import.meta.dirname) } };
