// The window that our frame has opened. It learns where to go from that frame alone, and from nobody else: an address of
// this page that somebody was sent does nothing. It forgets its opener before it leaves, so that no provider can turn to it.

const WAIT_MS = 20_000;
const { base } = document.body.dataset;
const opener = window.opener;
let over = false;

function giveUp() {
  if (over) return;
  over = true;
  document.getElementById("card").replaceChildren(document.getElementById("lost").content);
}

async function leave(ticket) {
  const response = await fetch(`${base}/connect/consent/leave`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ticket }),
    credentials: "same-origin", // it answers with a cookie
    cache: "no-store",
    redirect: "error",
  });
  if (!response.ok) throw new Error("refused");
  const { url } = await response.json();
  over = true;
  window.opener = null;
  location.replace(url);
}

function hear({ source, origin, data }) {
  if (over || source !== opener || origin !== location.origin || data?.type !== "one-runtime-ticket") return;
  if (data.ticket === null) return window.close(); // what was typed needs another look, there
  leave(data.ticket).catch(giveUp);
}

if (opener === null) {
  giveUp();
} else {
  window.addEventListener("message", hear);
  opener.postMessage({ type: "one-runtime-consent" }, location.origin);
  setTimeout(giveUp, WAIT_MS);
}
