"""Check that the reverse proxy forwards the requests of agents to `/v1/mcp` with all their headers."""

from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from one_runtime.agents.authorization.resources import METADATA_PATH, PATH
from one_runtime.doctor.finding import Finding, ok, problem
from one_runtime.egress.client import Egress
from one_runtime.egress.response import Response
from one_runtime.encryption.self_check import AGENT_HEADERS, RequestEcho

CHECK: Final = "agents"

_EXAMPLE: Final = "(examples: deploy/nginx.conf, deploy/Caddyfile)"


class _ResourceMetadata(BaseModel):
    """The part of the protected resource metadata (RFC 9728) that names the endpoint."""

    resource: str


async def examine_agents(egress: Egress, public_url: str, echo: RequestEcho) -> Finding:
    """Send two requests without a key, as an agent does before its authorization. Raises: EgressError."""
    if echo.host is None:
        saw = "the server is of an older version, which does not report the headers of agents"
        return problem(CHECK, saw, "Run the same version on every server.")
    challenge = await egress.request("POST", f"{public_url}{PATH}", headers=list(AGENT_HEADERS.items()), body=b"{}")
    metadata = await egress.request("GET", f"{public_url}{METADATA_PATH}")
    return judge_headers(public_url, echo) or judge_answers(public_url, challenge, metadata)


def judge_headers(public_url: str, echo: RequestEcho) -> Finding | None:
    """Compare the headers that the doctor sent with the headers that the server received."""
    host = urlsplit(public_url).netloc
    if echo.host != host:
        saw = f"the proxy changes the header Host from {host} to {(echo.host or '')[:60]}, so {PATH} refuses agents"
        return problem(CHECK, saw, f"Configure the proxy to forward the header Host unchanged {_EXAMPLE}.")
    lost = [name for name, value in AGENT_HEADERS.items() if echo.agent_headers.get(name) != value]
    if lost:
        saw = f"the proxy removes or changes headers of agents: {', '.join(lost)}"
        return problem(CHECK, saw, f"Configure the proxy to forward all headers of requests {_EXAMPLE}.")
    return None


def judge_answers(public_url: str, challenge: Response, metadata: Response) -> Finding:
    """Check the response to a request without a key, and the metadata that this response names."""
    values = [value for name, value in challenge.headers if name.lower() == "www-authenticate"]
    if challenge.status != 401 or f'resource_metadata="{public_url}{METADATA_PATH}"' not in ", ".join(values):
        saw = (
            f"POST {PATH} without a key got the status {challenge.status}, not the server's answer 401 with its header "
            "WWW-Authenticate"
        )
        advice = f"Configure the proxy to forward {PATH} and the headers of its responses unchanged."
        return problem(CHECK, saw, advice)
    if _resource_of(metadata) != f"{public_url}{PATH}":
        saw = f"{METADATA_PATH} got the status {metadata.status}, not the server's metadata"
        return problem(
            CHECK, saw, "Configure the proxy to forward all paths below /.well-known/ except acme-challenge."
        )
    return ok(CHECK, f"the headers of agents arrive at {PATH}")


def _resource_of(metadata: Response) -> str | None:
    try:
        return _ResourceMetadata.model_validate_json(metadata.body).resource
    except ValidationError:
        return None
