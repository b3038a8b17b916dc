"""Handle the requests that browsers send to the authorization endpoint `/oauth/authorize`.

The answer is the address of the organization's sign-in page, or an error. After an error, the browser does not go back
to the client by itself: everybody can publish a client, so the endpoint would redirect to any address (an open
redirector, RFC 9700 section 4.11.2). The page shows the error, and a link to the client.
"""

from collections.abc import Mapping, Sequence

from one_runtime.agents.authorization import authorizations, redirect_uris, requests
from one_runtime.agents.authorization.client_documents import ClientDocument, ClientDocuments
from one_runtime.agents.authorization.errors import AgentClientRefused, ProtocolError
from one_runtime.agents.authorization.requests import AgentAuthorizationRequest
from one_runtime.agents.authorization.resources import find_organization
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.tenancy.organizations import AUTHORIZATION_PARAMETER, Organization


class InvalidAuthorizationRequest(Exception):
    """A request of a known client is invalid. `back`: the address that brings the error to the client."""

    def __init__(self, problem: ProtocolError, back: str) -> None:
        super().__init__(problem.description)
        self.problem, self.back = problem, back


async def start(
    installation: Installation, documents: ClientDocuments, parameters: Sequence[tuple[str, str]], network: str
) -> str:
    """Store a request of an OAuth client, and return the address of the organization's sign-in page.

    `network`: the network of the browser (`client_network`).

    Raises: AgentClientRefused; InvalidAuthorizationRequest.
    """
    try:
        values = requests.single_values(parameters)
        # Before the first request to an address that the caller chooses. A client that is not known gets no error.
        await _require_organization(installation, values)
    except ProtocolError as problem:
        raise AgentClientRefused(problem.description) from problem
    requests.require_acceptable_redirect_uri(values)
    client = await documents.get(values.get("client_id", ""), network)
    redirect_uri = requests.redirect_uri_of(values, client)
    try:
        return await _store(installation, client, redirect_uri, values)
    except ProtocolError as problem:
        back = redirect_uris.with_parameters(
            redirect_uri,
            error=problem.error,
            error_description=problem.description,
            state=_usable_state(values),
            iss=installation.settings.public_url,
        )
        raise InvalidAuthorizationRequest(problem, back) from problem


async def _require_organization(installation: Installation, values: Mapping[str, str]) -> None:
    """Raises: ProtocolError."""
    async with installation.database.read() as tx:
        await _organization_of(tx, installation, values)


async def _organization_of(
    tx: Transaction, installation: Installation, values: Mapping[str, str]
) -> tuple[Organization, str]:
    """Return the organization of a request, and its sign-in page. Raises: ProtocolError."""
    organization = await find_organization(tx, installation.settings, values.get("resource", ""))
    sign_in_url = organization.agents.sign_in_url if organization is not None else None
    if organization is None or sign_in_url is None:
        raise ProtocolError(
            "invalid_target",
            "resource is required (RFC 8707): the address of an MCP server at which end users can sign in.",
        )
    return organization, sign_in_url


async def _store(
    installation: Installation, client: ClientDocument, redirect_uri: str, values: Mapping[str, str]
) -> str:
    """Raises: ProtocolError."""
    state = requests.state_of(values)
    challenge, access = requests.code_challenge_of(values), requests.access_of(values)
    async with installation.database.write() as tx:
        organization, sign_in_url = await _organization_of(tx, installation, values)
        request = AgentAuthorizationRequest(client, redirect_uri, organization.id, challenge, access, state)
        authorization_id = await authorizations.create(tx, request, installation.clock())
    return redirect_uris.with_parameters(sign_in_url, **{AUTHORIZATION_PARAMETER: authorization_id})


def _usable_state(values: Mapping[str, str]) -> str | None:
    try:
        return requests.state_of(values)
    except ProtocolError:
        return None
