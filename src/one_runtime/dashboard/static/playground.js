// The session of the playground: opens the popup in this page.
import { createOneRuntime } from "./connect.js";

const button = document.querySelector("button[data-session-token]");
const result = document.querySelector("[data-outcome]");

if (button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const { publicUrl, sessionToken } = button.dataset;
    button.disabled = true; // a session makes only one connection
    const { connections } = createOneRuntime({ baseUrl: publicUrl });
    const { status, connectionName, error } = await connections.open({ sessionToken });
    result.textContent = [status, connectionName, error?.message].filter(Boolean).join(": ");
  });
}
