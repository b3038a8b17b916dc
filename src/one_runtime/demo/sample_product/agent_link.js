// The page that the link of an agent opens. The end user is signed in, and connects the account or declines.
import { answers } from "./agents.js";
import { ask, BackendError } from "./backend.js";
import { connectForAgent } from "./connecting.js";

const $ = (id) => document.getElementById(id);

/** Shows the agent's request. `connected` is called after the end user has connected the account. */
export function showAgentLink({ sentence, connect_request_id: id, integration_slug: slug, answered }, name, oneRuntimeUrl, connected) {
  const show = (text) => { $("agent-request-text").textContent = text; };
  const end = (text) => {
    $("agent-request-actions").hidden = true;
    show(text);
    answers.postMessage(null); // the window of the agent goes on
  };

  async function connect() {
    const { status, sentence: error } = await connectForAgent(id, oneRuntimeUrl);
    if (status === "connected") {
      end(`${name} is connected. The agent goes on in the other window.`);
      await connected(slug);
    } else if (status === "error") show(error ?? "That did not work. Please try again.");
  }

  async function decline() {
    await ask("POST", "/api/agents/decline", { connect_request_id: id });
    end("You have declined. The agent goes on without the account.");
  }

  const button = (act) => async () => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      show(error.message);
    }
  };

  $("agent-request").hidden = false;
  $("agent-request-actions").hidden = !id;
  $("agent-request-connect").addEventListener("click", button(connect));
  $("agent-request-decline").addEventListener("click", button(decline));
  if (answered) end(sentence);
  else show(sentence.replace("{integration}", name));
}
