// "Try it" on the page of an integration: opens the popup in this page. Without this script, the form shows a link.
import { createOneRuntime } from "./connect.js";

const form = document.querySelector("form[data-try]");
const button = form?.querySelector("button");
const outcome = document.getElementById("try-outcome");

async function createSession() {
  const response = await fetch(form.action, { method: "POST", body: new URLSearchParams({ mode: "embed" }), redirect: "manual" });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? "The dashboard did not create a session. Reload the page, and try again.");
  return answer.session_token;
}

function show(result) {
  if (result.status === "connected") location.assign(form.dataset.connected);
  else if (result.status === "cancelled") outcome.textContent = "You closed the popup before an account was connected.";
  else outcome.textContent = result.error?.message ?? "The popup ended with an error.";
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  outcome.textContent = "";
  try {
    const { connections } = createOneRuntime({ baseUrl: form.dataset.try });
    show(await connections.open({ sessionToken: createSession }));
  } catch (error) {
    outcome.textContent = error.message;
  }
  button.disabled = false;
  button.focus();
});
