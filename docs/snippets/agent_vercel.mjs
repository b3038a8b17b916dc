// An agent with the Vercel AI SDK (npm install ai @ai-sdk/mcp), for one end user.
import { createMCPClient } from "@ai-sdk/mcp";
import { generateText, isStepCount } from "ai";

export async function answer(question, mcpUrl, endUserToken, model = "anthropic/claude-sonnet-5-5") {
  const headers = { Authorization: `Bearer ${endUserToken}` };
  const client = await createMCPClient({ transport: { type: "http", url: mcpUrl, headers } });
  try {
    const tools = await client.tools();
    const { text } = await generateText({ model, tools, stopWhen: isStepCount(20), prompt: question });
    return text;
  } finally {
    await client.close();
  }
}
