// The panel lists the webhooks that Fernhill's backend received and verified, newest first.

const list = document.getElementById("events");
const template = document.getElementById("event-template");
const KEPT = 8; // so that the list of requests below stays near
const PAUSE = 1500;

const SENTENCES = {
  "connection.created": (data) => `${data.end_user_id} connected ${data.integration_slug}.`,
  "connection.reconnected": (data) => `${data.end_user_id} connected ${data.integration_slug} again.`,
  "connection.updated": (data) => `The connection of ${data.end_user_id} to ${data.integration_slug} changed.`,
  "connection.needs_reauth": (data) => `${data.end_user_id} has to connect ${data.integration_slug} again (${data.reason}).`,
  "connection.recovered": (data) => `The connection of ${data.end_user_id} to ${data.integration_slug} works again.`,
  "connection.refresh_failed": (data) => `${data.integration_slug} did not renew a token (${data.reason}).`,
  "connection.deleted": (data) => `${data.end_user_id} disconnected ${data.integration_slug}.`,
  "hosted_connection_session.created": (data) => `Fernhill’s backend opened a session for ${data.end_user_id}.`,
  "hosted_connection_session.failed": (data) => `${data.end_user_id} could not connect ${data.integration_slug ?? "an account"}.`,
};

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

function show(event) {
  last = Math.max(last, event.number);
  const item = template.content.cloneNode(true).firstElementChild;
  item.querySelector("time").dateTime = event.timestamp;
  item.querySelector("time").textContent = new Date(event.timestamp).toLocaleTimeString();
  item.querySelector(".type").textContent = event.type;
  item.querySelector(".sentence").textContent = SENTENCES[event.type]?.(event.data) ?? "";
  item.querySelector("pre").textContent = JSON.stringify(event, (name, value) => (name === "number" ? undefined : value), 2);
  item.querySelector("pre").setAttribute("aria-label", `Message ${event.type}`);
  list.prepend(item);
  while (list.children.length > KEPT) list.lastElementChild.remove();
  document.getElementById("no-events").hidden = true;
}
