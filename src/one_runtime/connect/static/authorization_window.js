// The window that our frame opens for an authorization. The window accepts a ticket only from the frame that opened the
// window. So an attacker cannot start an authorization by sending a link to this page. Before the window opens the
// provider's page, the window deletes its `opener`. So the provider's page cannot navigate our frame.

const WAIT_MS = 20_000;
const RETRY_MS = 500;
const { base, openerPolicy } = document.body.dataset;
const opener = window.opener;
let finished = false;

function showLost(template = "lost") {
  if (finished) return;
  finished = true;
  document.getElementById("card").replaceChildren(document.getElementById(template).content);
}

// The page around our popup has cut off this window by its Cross-Origin-Opener-Policy. The popup reads our report from
// the server. The popup's own request, which creates the authorization, can arrive later than the first report.
async function reportOpenerPolicy(attempts = 10) {
  showLost("opener-policy");
  const response = await post("opener-policy", { session: location.hash.slice(1) }).catch(() => null);
  if (!response?.ok && attempts > 1) setTimeout(reportOpenerPolicy, RETRY_MS, attempts - 1);
}

function post(path, body) {
  return fetch(`${base}/connect/authorization/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    credentials: "same-origin", // the response to `start` sets a cookie
    cache: "no-store",
    redirect: "error",
  });
}

async function start(ticket) {
  const response = await post("start", { ticket });
  if (!response.ok) throw new Error("refused");
  const { url } = await response.json();
  finished = true;
  window.opener = null;
  location.replace(url);
}

function onMessage({ source, origin, data }) {
  if (finished || source !== opener || origin !== location.origin || data?.type !== "one-runtime-ticket") return;
  if (data.ticket === null) return window.close(); // the server refused the form: the frame shows the errors
  start(data.ticket).catch(() => showLost());
}

if (opener === null && openerPolicy) {
  console.error(openerPolicy);
  reportOpenerPolicy();
} else if (opener === null) {
  showLost();
} else {
  window.addEventListener("message", onMessage);
  opener.postMessage({ type: "one-runtime-authorization" }, location.origin);
  setTimeout(showLost, WAIT_MS);
}
