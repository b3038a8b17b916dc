// The panel lets an agent act for the end user. The agent follows a script, so the demo needs no language model.
import { ask, BackendError } from "./backend.js";
import { copyRow } from "./copying.js";
import { entry } from "./requests.js";

const $ = (id) => document.getElementById(id);
const LONGEST = 300; // characters of a text in the panel

const tasks = {
  read: {
    query: "list the contacts in Acme CRM",
    tool: "call_read",
    arguments: { name: "acme.contacts_list" },
    summary: ({ data }) => `Acme CRM has ${data.contacts.length} contacts: ${data.contacts.map(({ name }) => name).join(", ")}.`,
  },
  program: {
    query: "count the contacts per company in Acme CRM",
    tool: "run_python",
    arguments: {
      code: [
        "import acme",
        "",
        "companies = {}",
        'for contact in (await acme.contacts_list())["contacts"]:',
        '    companies[contact["company"]] = companies.get(contact["company"], 0) + 1',
        "companies",
      ].join("\n"),
    },
    summary: ({ result }) => `The program counted the contacts per company: ${result}.`,
  },
  write: {
    query: "create a contact in Acme CRM",
    tool: "call_write",
    arguments: { name: "acme.contact_create", arguments: { name: "Grace Hopper", company: "Globex" } },
    summary: ({ data }) => `Acme CRM has the new contact ${data.name}.`,
  },
};

/** Informs the other windows that the end user has answered a request of the agent. */
export const answers = new BroadcastChannel("agent-answers");

let run = 0; // a new run ends the previous one
let goOn = null; // the agent waits for the end user, if this is a function

async function start(task) {
  const mine = ++run;
  clear();
  try {
    await call(mine, "tool_search", { query: task.query, limit: 3 });
    let args = task.arguments;
    for (;;) {
      const result = await call(mine, task.tool, args);
      if (mine !== run) return;
      const url = result.connect_url ?? result.approval_url;
      if (!url) {
        say(mine, conclusion(task, result));
        return;
      }
      await endUser(mine, result, url);
      if (result.run_id) args = { run_id: result.run_id }; // the paused program continues
    }
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    say(mine, error.message);
  }
}

function conclusion(task, result) {
  if (result.code) return `The agent cannot do this: ${result.message}`;
  return result.status >= 400 ? `Acme CRM answered ${result.status}.` : task.summary(result);
}

/** Calls a tool of One Runtime's MCP endpoint, shows both messages, and returns the data of the answer. */
async function call(mine, tool, args) {
  if (mine !== run) return {};
  say(mine, `The agent calls ${tool}.`);
  const { message, answer, call: { curl, status, ms } } = await ask("POST", "/api/agents/calls", { tool, arguments: args });
  const result = answer.result?.structuredContent ?? { code: answer.code ?? "error", message: answer.detail ?? answer.error?.message };
  if (mine !== run) return {};
  for (const open of $("exchange").querySelectorAll("details[open]")) open.open = false;
  $("exchange").append(entry({
    method: tool,
    target: args.name ?? (args.run_id ? "continue" : ""),
    request: shorten(message),
    curl,
    status: result.code ?? status,
    ms,
    answer: shorten(answer),
  }));
  return result;
}

const shorten = (message) => JSON.stringify(
  message,
  (_key, value) => (typeof value === "string" && value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value),
  2,
);

/** Shows the link of the agent, and waits until the end user has answered. */
function endUser(mine, { connect_url: connectUrl }, url) {
  const task = connectUrl ? "connect Acme CRM" : "approve the exact call";
  say(mine, `The agent waits. It asks its end user to ${task}. The agent cannot do this itself.`);
  $("agent-link-url").href = url;
  $("agent-link-url").textContent = connectUrl ? "Connect Acme CRM" : "Look at the call";
  $("agent-waits").hidden = false;
  return new Promise((resolve) => {
    goOn = () => {
      $("agent-waits").hidden = true;
      goOn = null;
      resolve();
    };
  });
}

function say(mine, sentence) {
  if (mine === run) $("agent-says").textContent = sentence;
}

function clear() {
  goOn = null;
  $("agent-waits").hidden = true;
  $("agent-says").textContent = "";
  $("exchange").replaceChildren();
}

/** Ends the run, and hides the token, because another end user has signed in. */
export function reset() {
  run += 1;
  clear();
  $("token").replaceChildren();
  $("token-created").hidden = true;
}

async function createToken() {
  try {
    const { end_user_token: token, mcp_url: url } = await ask("POST", "/api/agents/tokens", {});
    const header = `--header "Authorization: Bearer ${token}"`;
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
    const curl = `curl ${url} -H "Authorization: Bearer ${token}" -H "Accept: application/json, text/event-stream" -H "Content-Type: application/json" -d '${body}'`;
    $("token").replaceChildren(
      copyRow("End-user token", token),
      copyRow("Address", url),
      copyRow("Claude Code", `claude mcp add --transport http one-runtime ${url} ${header}`, "the command for Claude Code"),
      copyRow("MCP Inspector", `npx @modelcontextprotocol/inspector --cli ${url} --transport http ${header} --method tools/list`, "the command for MCP Inspector"),
      copyRow("curl", curl, "the curl command"),
    );
    $("token-created").hidden = false;
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    $("agent-says").textContent = error.message;
  }
}

/** Prepares the buttons. `changed` is called after the end user has answered, perhaps with a new account. */
export function prepareAgents(changed) {
  for (const [name, task] of Object.entries(tasks)) $(`agent-${name}`).addEventListener("click", () => start(task));
  $("create-token").addEventListener("click", createToken);
  $("agent-continue").addEventListener("click", () => goOn?.());
  answers.addEventListener("message", () => {
    goOn?.();
    changed();
  });
}
