"""OpenAI's Responses API (pip install openai): OpenAI's servers call One Runtime, so it must have a public address."""

from openai import OpenAI


def answer(question, mcp_url, end_user_token, model="gpt-6.2-astra"):
    one_runtime = {
        "type": "mcp",
        "server_label": "one_runtime",
        "server_url": mcp_url,
        "authorization": end_user_token,
        "require_approval": {"never": {"tool_names": ["tool_search", "tool_help", "list_connections", "call_read"]}},
    }
    return OpenAI().responses.create(model=model, tools=[one_runtime], input=question)
