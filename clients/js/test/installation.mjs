/** The installation under test. Its address and keys come from the environment that the Python tests set. */

import { OneRuntime } from "@one-runtime/client";

export const URL_OF_US = given("ONE_RUNTIME_URL");
export const KEY = given("ONE_RUNTIME_KEY");
export const READ_KEY = given("ONE_RUNTIME_READ_KEY");
export const ACME_URL = given("ACME_URL");
export const ACME_KEYS = given("ACME_KEYS").split(",");
/** Two sessions of the mode `redirect`, each with the code from its return URL. */
export const BROUGHT_BACK = JSON.parse(given("BROUGHT_BACK"));

/** Returns a client with every scope by default. */
export function client(options = {}) {
  return new OneRuntime({ baseUrl: URL_OF_US, apiKey: KEY, ...options });
}

/** Creates an Acme connection. */
export function connect(oneRuntime, endUserId, more = {}) {
  return oneRuntime.connections.create({
    integrationSlug: "acme",
    endUserId,
    authType: "api_key",
    credentials: { api_key: ACME_KEYS[0] },
    ...more,
  });
}

function given(name) {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run pytest tests/clients`);
  return value;
}
