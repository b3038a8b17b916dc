/** The Vercel AI SDK with a scripted model. The format of the output is in `agent_programs.py`. */

import { once } from "node:events";
import { createInterface } from "node:readline";

import { MockLanguageModelV4 } from "ai/test";

import { answer } from "./agent_vercel.mjs";

const { MCP_URL, MCP_TOKEN } = process.env;
const print = (value) => console.log(JSON.stringify(value));
const usage = { inputTokens: { total: 0 }, outputTokens: { total: 0 } };
let shown = false;

const model = new MockLanguageModelV4({
  doGenerate: async ({ tools, prompt }) => {
    if (!shown) print({ tools: tools.map(({ name }) => name) });
    shown = true;
    const last = prompt.at(-1);
    if (last.role === "tool") {
      const { value } = last.content[0].output;
      const text = typeof value === "string" ? value : (value.content ?? value)[0].text;
      return { content: [{ type: "text", text }], finishReason: { unified: "stop" }, usage, warnings: [] };
    }
    const input = JSON.stringify({ integration: "acme", path: "/v1/me" });
    const call = { type: "tool-call", toolCallId: "1", toolName: "call_read", input };
    return { content: [call], finishReason: { unified: "tool-calls" }, usage, warnings: [] };
  },
});

const input = createInterface({ input: process.stdin });
const question = "What is the plan of my Acme account?";
const first = await answer(question, MCP_URL, MCP_TOKEN, model);
print({ text: first.match(/https?:\/\/[^\s"']+/)[0] });
await once(input, "line");
print({ answer: JSON.parse(await answer(question, MCP_URL, MCP_TOKEN, model)) });
input.close();
