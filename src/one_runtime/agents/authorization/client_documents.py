"""Fetch and check client ID metadata documents (draft-ietf-oauth-client-id-metadata-document-00).

The identifier of an OAuth client is the URL of a JSON document that describes the client. So One Runtime stores no
clients, and the host of the URL shows who publishes the client.
"""

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from cachetools import LRUCache

from one_runtime.agents.authorization.errors import AgentClientRefused
from one_runtime.clock import Clock
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import Response
from one_runtime.egress.target import parse
from one_runtime.validation.names import name_problem, text_problem

MAX_LENGTH: Final = 500
MAX_BYTES: Final = 16 * 1024
MAX_FETCHES: Final = 32
MAX_FETCHES_OF_NETWORK: Final = 8
"""Maximum numbers of documents that this process fetches at the same time: of all, and for the requests of one network.

Anybody can start a fetch from a slow server. So if all places are occupied, a new fetch ends the oldest fetch of the
network that has most of them.
"""

_LIMITS: Final = Limits(connect=2, idle=2, total=3, body=MAX_BYTES)
_BUSY: Final = "One Runtime reads the documents of many apps at the moment. Try again in a minute."
_MAX_CACHED: Final = 1000
_DEFAULT_AGE: Final = 300
_MAX_AGE: Final = 24 * 3600
"""Seconds for which this process caches a document: without the header `Cache-Control`, and at most."""

_MAX_REDIRECT_URIS: Final = 50
_MAX_NAME: Final = 100
_JSON: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_AGE: Final = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,9})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class ClientDocument:
    """A checked document. `name`: the name that the client gives itself, or None. This name is not verified."""

    client_id: str
    name: str | None
    redirect_uris: tuple[str, ...]


class ClientDocuments:
    """Fetches the documents, and caches them in this process. Errors are not cached.

    Anybody can choose the URL, so the operator's allow-list does not apply.
    """

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._egress, self._clock = egress.public(), clock
        self._cached: LRUCache[str, tuple[ClientDocument, datetime]] = LRUCache(_MAX_CACHED)
        self._fetches: dict[asyncio.Timeout, str] = {}  # the network of each fetch, the oldest first

    async def get(self, client_id: str, network: str) -> ClientDocument:
        """Return the document of a client. `network`: the caller (`client_network`). Raises: AgentClientRefused."""
        cached = self._cached.get(client_id)
        if cached is not None and cached[1] > self._clock():
            return cached[0]
        require_document_url(client_id)
        response = await self._fetch(client_id, network)
        document = _read(client_id, response)
        self._cached[client_id] = document, self._clock() + timedelta(seconds=_age_of(response))
        return document

    async def _fetch(self, client_id: str, network: str) -> Response:
        """Raises: AgentClientRefused."""
        place = asyncio.timeout(None)
        try:
            async with place:
                self._occupy(place, network)
                return await self._egress.request(
                    "GET", client_id, headers=[("accept", "application/json")], limits=_LIMITS
                )
        except TimeoutError as error:  # a later fetch has taken the place
            raise AgentClientRefused(_BUSY) from error
        except TargetRefused as error:
            raise AgentClientRefused("The app's client_id must be a URL on the public internet.") from error
        except EgressError as error:
            raise AgentClientRefused(f"The document at the app's client_id cannot be read. {error.detail}") from error
        finally:
            self._fetches.pop(place, None)

    def _occupy(self, place: asyncio.Timeout, network: str) -> None:
        """Count a fetch. If there is no place, end another one. Raises: AgentClientRefused."""
        fetches = Counter(self._fetches.values())
        if fetches[network] >= MAX_FETCHES_OF_NETWORK:
            raise AgentClientRefused(_BUSY)
        if fetches.total() >= MAX_FETCHES:
            most = max(fetches.values())
            ended = next(place for place, owner in self._fetches.items() if fetches[owner] == most)
            del self._fetches[ended]
            ended.reschedule(asyncio.get_running_loop().time())
        self._fetches[place] = network


def require_document_url(client_id: str) -> None:
    """Check the URL of a document (section 3 of the draft): always https. Raises: AgentClientRefused."""
    try:
        target = parse(client_id)
    except TargetRefused as error:
        raise AgentClientRefused(f"The app's client_id must be the URL of a document. {error.detail}") from error
    if not client_id.isascii():  # a host in Unicode can look like the host of another publisher
        raise AgentClientRefused("The app's client_id must be ASCII. Write its host in Punycode (xn--).")
    path = urlsplit(client_id).path
    has_dots = any(segment in {".", ".."} for segment in path.lower().replace("%2e", ".").split("/"))
    if len(client_id) > MAX_LENGTH or "#" in client_id or path in {"", "/"} or has_dots:
        raise AgentClientRefused(
            f"The app's client_id must be an https URL with a path and without a fragment, of at most {MAX_LENGTH} "
            "characters."
        )
    if target.scheme != "https":
        raise AgentClientRefused("The app's client_id must be an https URL.")


def _read(client_id: str, response: Response) -> ClientDocument:
    """Return the checked document of a response. Raises: AgentClientRefused."""
    if response.status != 200:  # a redirect too: the document must stand at the client_id itself
        raise AgentClientRefused(
            f"The app's client_id answered with the status {response.status} instead of a document."
        )
    types = [value for name, value in response.headers if name.lower() == "content-type"]
    if len(types) != 1 or _JSON.fullmatch(types[0].strip()) is None:
        raise AgentClientRefused("The document at the app's client_id must have the type application/json.")
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise AgentClientRefused("The document at the app's client_id is not valid JSON.") from error
    if not isinstance(document, dict) or document.get("client_id") != client_id:
        raise AgentClientRefused("The client_id in the app's document differs from the address of the document.")
    _require_public_client(document)
    uris = document.get("redirect_uris")
    if not isinstance(uris, list) or not 0 < len(uris) <= _MAX_REDIRECT_URIS:
        raise AgentClientRefused(f"The app's document must list 1 to {_MAX_REDIRECT_URIS} redirect_uris.")
    return ClientDocument(client_id, _name_of(document), tuple(uri for uri in uris if isinstance(uri, str)))


def _require_public_client(document: dict[str, Any]) -> None:
    """Require the code flow without a client secret. Raises: AgentClientRefused.

    ChatGPT's document has the method `private_key_jwt`, and lists `none` among the methods that it can use too.
    """
    methods = document.get("token_endpoint_auth_methods_supported")
    used = document.get("token_endpoint_auth_method", "none")
    if used != "none" and not (isinstance(methods, list) and "none" in methods):
        raise AgentClientRefused("The app's document must allow the token_endpoint_auth_method none.")
    for name, required in (("grant_types", "authorization_code"), ("response_types", "code")):
        values = document.get(name, [required])
        if not isinstance(values, list) or required not in values:
            raise AgentClientRefused(f"The {name} of the app's document must contain {required}.")


def _name_of(document: dict[str, Any]) -> str | None:
    name = document.get("client_name")
    if not isinstance(name, str):
        return None
    shown = _CONTROL.sub(" ", name).strip()[:_MAX_NAME]
    return None if not shown or name_problem(shown) or text_problem(shown) else shown


def _age_of(response: Response) -> int:
    """Return the seconds for which the document can be cached (RFC 9111 section 5.2.2)."""
    header = ",".join(value for name, value in response.headers if name.lower() == "cache-control").lower()
    if "no-store" in header or "no-cache" in header:
        return 0
    age = _AGE.search(header)
    return min(int(age[1]), _MAX_AGE) if age is not None else _DEFAULT_AGE
