// Fernhill's page sends requests to Fernhill's backend only.
import { show as showRequests } from "./requests.js";

export class BackendError extends Error {}

/** Returns the backend's answer. The panel shows the requests that the backend made. */
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
