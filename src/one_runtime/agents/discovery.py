"""Find the functions and integrations that an agent can use, and describe them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

from one_runtime.agents.accounts import account_fields, list_connected
from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.operations.index import OperationIndex
from one_runtime.agents.operations.library import OperationLibrary
from one_runtime.agents.operations.own import OwnOperations
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.operation import Argument, Operation
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.catalog.search import search
from one_runtime.connections import connections
from one_runtime.context import Installation
from one_runtime.errors import NotAllowed, NotFound
from one_runtime.integrations.availability import Availability
from one_runtime.tenancy import organizations
from one_runtime.validation.names import similar_names

T = TypeVar("T")
_MAX_LISTED: Final = 60
READS_ONLY: Final = (
    "This agent may only read. If the user wants a change, say that the user's product has to give this agent more "
    "access."
)
"""The reason why an agent cannot call a function, and what it can say to its user."""

_MAX_INTEGRATIONS: Final = 3
"""Maximum number of integrations in a list of functions."""


@dataclass(frozen=True)
class Offer:
    """The integrations that an agent can use for its end user, and the slugs of those that the end user connected.

    `own`: the functions of the organization's custom integrations, or None.
    """

    catalog: Catalog
    availability: Availability
    connected: frozenset[str]
    caller: AgentCaller
    own: OperationIndex | None = None

    def __contains__(self, slug: str) -> bool:
        is_connected = slug in self.connected and slug not in self.availability.disabled
        return (slug in self.availability or is_connected) and self.caller.policy.allows_integration(slug)

    @cached_property
    def slugs(self) -> frozenset[str] | None:
        """Return the slugs of the integrations, or None if the agent can use every integration."""
        availability = self.availability
        if self.caller.policy.integrations is None and availability.mode == "all" and not availability.disabled:
            return None
        return frozenset(entry.slug for entry in self.catalog.integrations if entry.slug in self)

    @property
    def owner(self) -> str:
        """Return the organization, for the searches in the library."""
        return self.caller.organization_id

    def find(self, slug: str) -> Integration:
        """Return an integration. Raises: NotFound; NotAllowed."""
        integration = self.catalog.get(slug)
        if integration is None:
            raise unknown(slug, self.catalog)
        if slug not in self:
            raise NotAllowed(f"This agent may not use {integration.name}.")
        return integration


@dataclass(frozen=True, slots=True)
class Findings:
    """The functions and integrations that match a query.

    `withholds_writes`: True if functions match that the agent cannot call, because it may only read.
    """

    matches: list[dict[str, Any]]
    withholds_writes: bool


class Discovery:
    """Finds and describes functions and integrations, as the tools `tool_search` and `tool_help` show them."""

    def __init__(self, installation: Installation, library: OperationLibrary) -> None:
        self._installation, self._library = installation, library
        self._own = OwnOperations(library)

    async def offer(self, caller: AgentCaller) -> Offer:
        """Read the integrations that an agent can use."""
        installation = self._installation
        async with installation.database.read() as tx:
            organization = await organizations.get(tx, caller.organization_id)
            connected = await connections.list_connected_slugs(tx, caller.organization_id, caller.end_user_id)
            catalog = await installation.catalogs.of(tx, caller.organization_id)
        own = await self._own.of(installation, caller.organization_id)
        # The search also finds an integration without an OAuth client: `get_tool_connect_url` names what is missing.
        availability = Availability.of(organization, installation.disabled.slugs)
        return Offer(catalog, availability, connected, caller, own)

    async def search(self, offer: Offer, query: str, slug: str | None, limit: int) -> Findings:
        """Return the functions that match a query, and then integrations. Connected integrations come first."""
        slugs, can_write = offer.slugs if slug is None else {offer.find(slug).slug}, offer.caller.policy.can_write
        found = await self._library.search(query, slugs, offer.connected, limit, offer.own, offer.owner)
        usable = [match for match in found if match.operation.access == "read" or can_write]
        matches = [
            _operation_fields(match.operation)
            | {"connected": match.connected, "signature": _signature(match.operation)}
            for match in usable
        ]
        entries = [entry for entry in offer.catalog.integrations if entry.slug in offer and slug in {None, entry.slug}]
        integrations = entries if slug is not None else search(entries, query)
        integrations = sorted(integrations, key=lambda entry: entry.slug not in offer.connected)
        room = min(limit - len(matches), _MAX_INTEGRATIONS if matches else limit)
        matches += [_match(offer, integration) for integration in integrations[: max(room, 0)]]
        return Findings(matches, withholds_writes=len(usable) < len(found))

    async def describe(self, offer: Offer, name: str) -> dict[str, Any]:
        """Describe a function such as `hubspot.contacts_list`, or an integration. Raises: NotFound; NotAllowed."""
        slug, _, function = name.partition(".")
        integration = offer.find(slug.lower())
        if function:
            description = await self._describe_operation(offer, integration, function)
        else:
            operations = await self.operations(offer, integration.slug)
            description = _describe_integration(integration, operations, can_write=offer.caller.policy.can_write)
        auth_types = " or ".join(integration.auth_types)
        auth = {"auth_requirement": f"The end user connects {integration.name} once ({auth_types})."}
        return {**description, **auth, **await self._accounts(offer.caller, integration.slug)}

    async def find_operation(self, offer: Offer, name: str) -> Operation:
        """Return a function by its full name. Raises: NotFound with the nearest names; NotAllowed."""
        slug, _, function = name.partition(".")
        return await self._operation(offer, offer.find(slug.lower()), function)

    async def operations(self, offer: Offer, slug: str) -> list[Operation]:
        """Return the functions of an integration that the agent can call. Raises: NotFound; NotAllowed."""
        writes = offer.caller.policy.can_write
        operations = await self._library.of_integration(offer.find(slug).slug, offer.own, offer.owner)
        return [operation for operation in operations if writes or operation.access == "read"]

    async def converted(self, offer: Offer, slug: str, convert: Callable[[Operation], T]) -> list[T]:
        """Return a value for each function of `operations`, computed on a thread, because there can be thousands."""
        operations = await self.operations(offer, slug)
        return await self._library.run(lambda: list(map(convert, operations)), offer.owner)

    async def _operation(self, offer: Offer, integration: Integration, function: str) -> Operation:
        operation = await self._library.get(integration.slug, function, offer.own, offer.owner)
        if operation is not None:
            return operation
        operations = await self._library.of_integration(integration.slug, offer.own, offer.owner)
        names = [each.name for each in operations]
        near = similar_names(function, names, 5, 0.5)
        listed = ", ".join(f"{integration.slug}.{each}" for each in near)
        hint = f" Did you mean {listed}?" if near else " tool_search finds functions by what you want to do."
        raise NotFound(f"{integration.name} has no function {function[:64]!r}.{hint}")

    async def _describe_operation(self, offer: Offer, integration: Integration, function: str) -> dict[str, Any]:
        operation = await self._operation(offer, integration, function)
        tool = "call_read" if operation.access == "read" else "call_write"
        usage = f"Call {tool} with name {operation.full_name!r} and arguments."
        if operation.access != "read" and not offer.caller.policy.can_write:
            usage = f"{operation.full_name} changes something. {READS_ONLY}"
        return {
            **_operation_fields(operation),
            "usage": usage,
            "parameters": [_parameter(argument) for argument in operation.arguments],
            "method": operation.method,
            "path": operation.path,
            "returns": operation.returns,
            "documentation": operation.documentation or integration.docs,
        }

    async def _accounts(self, caller: AgentCaller, slug: str) -> Mapping[str, Any]:
        async with self._installation.database.read() as tx:
            connected = {entry.slug: entry for entry in await list_connected(tx, self._installation, caller)}
        entry = connected.get(slug)
        return {
            "connected": entry is not None and entry.status == "connected",
            "accounts": [account_fields(account) for account in entry.accounts] if entry is not None else [],
        }


def _describe_integration(
    integration: Integration, operations: Sequence[Operation], *, can_write: bool
) -> dict[str, Any]:
    slug = integration.slug
    functions = [f"{operation.name}: {operation.summary}" for operation in operations]
    return {
        "integration": slug,
        "name": slug,
        "description": f"{integration.name}: {integration.description}",
        "usage": _usage(integration, can_write=can_write),
        "parameters": [],
        "functions": functions[:_MAX_LISTED],
        "base_url": integration.auth[0].base_url,
        "documentation": integration.docs,
    }


def _usage(integration: Integration, *, can_write: bool) -> str:
    slug = integration.slug
    usage = (
        f"Call a function with name '{slug}.…', or any path of the API with integration {slug!r} and a path "
        f"below base_url: call_read for a GET{', call_write for other methods' if can_write else ''}."
    )
    if integration.get_can_write is not None:
        usage = (
            f"Call a function with name '{slug}.…'. A GET of this API can change something, so call_read takes only "
            "functions."
        )
        usage += f" call_write takes any path below base_url with integration {slug!r}." if can_write else ""
    return usage if can_write else f"{usage} {READS_ONLY}"


def _match(offer: Offer, integration: Integration) -> dict[str, Any]:
    tools = "call_read and call_write" if offer.caller.policy.can_write else "call_read"
    return {
        "integration": integration.slug,
        "name": integration.slug,
        "description": f"{integration.name}: {integration.description} Call its API with {tools}.",
        "source": "http",
        "connected": integration.slug in offer.connected,
    }


def _operation_fields(operation: Operation) -> dict[str, Any]:
    return {
        "integration": operation.integration_slug,
        "name": operation.full_name,
        "description": operation.summary,
        "source": operation.source,
        "access": operation.access,
    }


def _signature(operation: Operation) -> str:
    """Return the arguments of a function in a short form, such as `contact_id: string, limit?: integer`."""
    arguments = operation.arguments
    shown = [each for each in arguments if each.required] or arguments[:4]
    listed = [f"{each.name}{'' if each.required else '?'}: {each.type}" for each in shown]
    return ", ".join([*listed, "…"] if len(shown) < len(arguments) else listed)


def _parameter(argument: Argument) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": argument.name,
        "location": argument.location,
        "required": argument.required,
        "schema_type": argument.type if argument.items is None else f"array of {argument.items}",
    }
    more = {"description": argument.description, "default": argument.default, "enum": list(argument.enum)}
    described |= {name: value for name, value in more.items() if value is not None and value not in ("", [])}
    if argument.fields:
        described["fields"] = [_parameter(field) for field in argument.fields]
    return described
