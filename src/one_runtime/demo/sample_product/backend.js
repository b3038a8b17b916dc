// Fernhill's page sends requests only to Fernhill's backend.
import { show as showRequests } from "./requests.js";

export class BackendError extends Error {}

/** Sends a request to the backend and returns the answer. The panel shows the backend's requests to One Runtime. */
export async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response, data;
  try {
    response = await fetch(path, options);
    data = await response.json();
  } catch {
    throw new BackendError("Fernhill’s backend does not answer. Is the demo still running?");
  }
  showRequests(data.requests);
  if (!response.ok) throw new BackendError(data.error ?? `The backend answered ${response.status}.`);
  return data;
}
