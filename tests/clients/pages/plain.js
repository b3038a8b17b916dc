import { createOneRuntime } from "@one-runtime/connect";

const { connections } = createOneRuntime({ baseUrl: window.page.baseUrl });
const outcome = document.getElementById("outcome");
window.abort = new AbortController();
window.closePopup = connections.close;

/** Calls the backend, which answers only when the test allows it. */
async function createSession() {
  await window.allowed;
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ integration_slug: window.slug ?? "acme" });
  const response = await fetch("/api/one-runtime/sessions", { method: "POST", headers, body });
  const { session_token: token, detail } = await response.json();
  if (!response.ok) throw new Error(detail);
  return token;
}

document.getElementById("connect").addEventListener("click", async () => {
  outcome.textContent = "";
  try {
    const { status, connectionName } = await connections.open({ sessionToken: createSession, signal: window.abort.signal });
    outcome.textContent = `${status} ${connectionName}`;
  } catch (error) {
    outcome.textContent = `rejected: ${error.message}`;
  }
});
