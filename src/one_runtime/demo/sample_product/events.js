// The panel lists the webhooks that Fernhill's backend received and verified, newest first.

const list = document.getElementById("events");
const template = document.getElementById("event-template");
const KEPT = 8; // so that the list of requests below stays near
const PAUSE = 1500;

let last = 0;

/** Fetches the new events again and again, while the window is visible. */
export async function follow() {
  if (!document.hidden) {
    try {
      const response = await fetch(`/api/events?after=${last}`);
      const { events } = await response.json();
      for (const event of events) show(event);
    } catch {
      // The demo has stopped or restarts. The other requests of the page say so.
    }
  }
  setTimeout(follow, PAUSE);
}

function show({ number, explanation, message }) {
  last = Math.max(last, number);
  const { type, timestamp, data } = message;
  const item = template.content.cloneNode(true).firstElementChild;
  item.querySelector("time").dateTime = timestamp;
  item.querySelector("time").textContent = new Date(timestamp).toLocaleTimeString();
  item.querySelector(".type").textContent = type;
  const about = [data.end_user_id, data.integration_slug].filter(Boolean).join(", ");
  item.querySelector(".sentence").textContent = [about, explanation.replaceAll("`", "")].filter(Boolean).join(": ");
  item.querySelector("pre").textContent = JSON.stringify(message, null, 2);
  item.querySelector("pre").setAttribute("aria-label", `Message ${type}`);
  list.prepend(item);
  while (list.children.length > KEPT) list.lastElementChild.remove();
  document.getElementById("no-events").hidden = true;
}
