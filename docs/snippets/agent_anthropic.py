"""Anthropic's Messages API (pip install anthropic): its servers call One Runtime, so it must have a public address."""

from anthropic import Anthropic


def answer(question, mcp_url, end_user_token, model="claude-sonnet-5-5"):
    one_runtime = {"type": "url", "name": "one-runtime", "url": mcp_url, "authorization_token": end_user_token}
    return Anthropic().beta.messages.create(
        model=model,
        max_tokens=4096,
        messages=[{"role": "user", "content": question}],
        mcp_servers=[one_runtime],
        tools=[{"type": "mcp_toolset", "mcp_server_name": "one-runtime"}],
        betas=["mcp-client-2025-11-20"],
    )
