// The window that our frame opens for an authorization. The window accepts a ticket only from the frame that opened the
// window. So an attacker cannot start an authorization by sending a link to this page. Before the window opens the
// provider's page, the window deletes its `opener`. So the provider's page cannot navigate our frame.

const WAIT_MS = 20_000;
const { base } = document.body.dataset;
const opener = window.opener;
let finished = false;

function showLost() {
  if (finished) return;
  finished = true;
  document.getElementById("card").replaceChildren(document.getElementById("lost").content);
}

async function start(ticket) {
  const response = await fetch(`${base}/connect/authorization/start`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ticket }),
    credentials: "same-origin", // the response sets a cookie
    cache: "no-store",
    redirect: "error",
  });
  if (!response.ok) throw new Error("refused");
  const { url } = await response.json();
  finished = true;
  window.opener = null;
  location.replace(url);
}

function onMessage({ source, origin, data }) {
  if (finished || source !== opener || origin !== location.origin || data?.type !== "one-runtime-ticket") return;
  if (data.ticket === null) return window.close(); // the server refused the form: the frame shows the errors
  start(data.ticket).catch(showLost);
}

if (opener === null) {
  showLost();
} else {
  window.addEventListener("message", onMessage);
  opener.postMessage({ type: "one-runtime-authorization" }, location.origin);
  setTimeout(showLost, WAIT_MS);
}
