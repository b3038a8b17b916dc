"""Create end-user tokens, and send the messages of the sample product's scripted agent with such a token.

A real agent runs in another program. Your backend creates the token for the signed-in end user (docs/agents.md).
"""

from typing import Any, Final

from one_runtime.demo.sample_product.calls import ApiResponse, error_detail
from one_runtime.demo.sample_product.mcp_client import ToolExchange, call_tool
from one_runtime.demo.sample_product.visit import BadRequest, ProductVisit

_LIFETIME: Final = 86_400
_UNAUTHENTICATED: Final = 401


class ScriptedAgent:
    """The agent of the sample product. It uses the newest token of each end user of this start of the demo."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    async def create_token(self, visit: ProductVisit) -> ApiResponse:
        """Create a token for the signed-in end user. The token needs the end user's approval for each change."""
        body = {
            "end_user_id": visit.end_user_id,
            "name": "Sample product",
            "access": "ask",
            "expires_in": _LIFETIME,
        }
        response = await visit.one_runtime.post("/v1/end-user-tokens", body)
        token = response.json().get("end_user_token")
        if token is not None:
            self._tokens[visit.end_user_id] = token
        return response

    async def call(self, visit: ProductVisit, tool: str, arguments: dict[str, Any]) -> ToolExchange:
        """Call a tool for the signed-in end user. If there is no valid token, first create a token.

        Raises: BadRequest if One Runtime creates no token; Unreachable.
        """
        token = self._tokens.get(visit.end_user_id)
        if token is not None:
            exchange = await call_tool(visit.one_runtime.with_token(token), tool, arguments)
            if exchange.call.status != _UNAUTHENTICATED:
                return exchange
        created = await self.create_token(visit)  # the token is missing, revoked or expired
        token = created.json().get("end_user_token")
        if token is None:
            raise BadRequest(error_detail(created), 502)
        return await call_tool(visit.one_runtime.with_token(token), tool, arguments)
