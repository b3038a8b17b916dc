// The window that our frame opens for an authorization. It takes its ticket from that frame only: opened by a link that
// someone was sent, this page does nothing. It drops its opener before it goes to the provider, so that no page of the
// provider can navigate our frame.

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
  if (data.ticket === null) return window.close(); // the form has errors: the frame shows them
  start(data.ticket).catch(showLost);
}

if (opener === null) {
  showLost();
} else {
  window.addEventListener("message", onMessage);
  opener.postMessage({ type: "one-runtime-authorization" }, location.origin);
  setTimeout(showLost, WAIT_MS);
}
