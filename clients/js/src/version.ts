/** The version of the package, which the client sends to One Runtime. A test compares it with `package.json`. */

export const VERSION = "0.1.0";
