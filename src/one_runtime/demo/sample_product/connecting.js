// The three ways to connect: in a popup over this page, in this window, and by a link.
import { ask, BackendError } from "./backend.js";
import { copy } from "./copying.js";
import { pack } from "./requests.js";

const $ = (id) => document.getElementById(id);
const CHOSEN = "way";

const ways = {
  popup: { hint: "One Runtime opens over this page, in a frame.", connect: inPopup },
  redirect: { hint: "This window goes to One Runtime and comes back. It needs no script of One Runtime.", connect: inThisWindow },
  link: { hint: "You get a link to send, by e-mail or in a chat. It works once, in any browser.", connect: byLink },
};

/**
 * Connects an integration in the selected way. Without an integration, the end user selects an integration from a list.
 * Resolves to {status: "connected" | "cancelled" | "error", slug, sentence}.
 */
export function connect(integration, whom, oneRuntimeUrl) {
  return ways[chosen()].connect(integration, whom, oneRuntimeUrl);
}

function createSession(integration, way) {
  return ask("POST", "/api/sessions", { integration_slug: integration?.slug ?? null, way });
}

function inPopup(integration, _whom, oneRuntimeUrl) {
  return openPopup(oneRuntimeUrl, () => createSession(integration, "popup"));
}

/** Connects the account for which an agent asks, in the popup. The connect request names the integration. */
export function connectForAgent(connectRequestId, oneRuntimeUrl) {
  return openPopup(oneRuntimeUrl, () => ask("POST", "/api/sessions", { connect_request_id: connectRequestId }));
}

async function openPopup(oneRuntimeUrl, create) {
  const { createOneRuntime } = await import(`${oneRuntimeUrl}/connect.js`).catch(() => {
    throw new BackendError("One Runtime’s connect.js cannot be loaded. Is the demo still running?");
  });
  const session = await create();
  const { connections } = createOneRuntime({ baseUrl: oneRuntimeUrl });
  const result = await connections.open({ sessionToken: session.session_token, connectUrl: session.connect_url });
  return { status: result.status, slug: result.integrationSlug, sentence: result.error?.message };
}

async function inThisWindow(integration) {
  const session = await createSession(integration, "redirect");
  pack();
  location.assign(session.connect_url);
  return new Promise(() => {}); // the browser leaves the page and returns to /connected
}

async function byLink(integration, whom) {
  const session = await createSession(integration, "link");
  const dialog = $("link");
  const until = new Intl.DateTimeFormat(undefined, { timeStyle: "short" }).format(new Date(session.expires_at));
  const what = integration ? `their ${integration.name} account` : "an account that they choose";
  $("link-title").textContent = `A link for ${whom}`;
  $("link-text").textContent = `Anyone with this link can connect ${what} for ${whom}. Send it to this user only. It works once, until ${until}.`;
  $("link-url").value = session.connect_url;
  const outcome = { status: "cancelled", slug: null };
  const look = () => lookAt(session.id, outcome);
  $("link-state").textContent = "Not used yet.";
  $("look-at-link").onclick = look;
  window.addEventListener("focus", look); // the user returns from the window that opened the link
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  window.removeEventListener("focus", look);
  return outcome;
}

/** Reads the session of a link, shows the session's status, and stores the slug of a new connection in `outcome`. */
async function lookAt(id, outcome) {
  if (outcome.status === "connected") return;
  try {
    const session = await ask("GET", `/api/sessions/${id}`);
    const { connection } = session;
    if (connection) Object.assign(outcome, { status: "connected", slug: connection.integration_slug });
    $("link-state").textContent = {
      pending: session.last_error ? `Not connected yet. The last attempt was refused: ${session.last_error.message}` : "Not used yet.",
      connected: `It was used: ${connection?.name ?? "an account"} is connected.`,
      cancelled: "It was opened and cancelled. Nothing was connected.",
      expired: "It has expired unused.",
      failed: "Too many attempts were refused. Nothing was connected.",
    }[session.status];
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    $("link-state").textContent = error.message;
  }
}

// ---- the choice ------------------------------------------------------------------------------------------------

const radios = [...document.querySelectorAll("[name=way]")];
const chosen = () => radios.find((radio) => radio.checked).value;

function explain() {
  $("way-hint").textContent = ways[chosen()].hint;
  sessionStorage.setItem(CHOSEN, chosen()); // keeps the selection after a reload, and after the return from One Runtime
}

for (const radio of radios) {
  radio.checked = radio.value === (sessionStorage.getItem(CHOSEN) ?? "popup");
  radio.addEventListener("change", explain);
}
explain();
$("copy-link").addEventListener("click", (event) => copy($("link-url").value, event.currentTarget));
$("link-url").addEventListener("focus", (event) => event.currentTarget.select());
