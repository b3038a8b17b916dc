"""Compare an organization with a configuration file, and make the organization equal to the file.

Everything happens through the HTTP API, with an API key of the organization: the file also reaches servers whose
database is out of reach. Each change is one request that can be repeated, and a plan always starts from the present
state. So a killed `apply` leaves nothing to clean up: the next one continues.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from one_runtime.catalog.custom import read_custom, written
from one_runtime.catalog.source import SourceError
from one_runtime.errors import InvalidInput
from one_runtime.moving.configuration_file import Configuration, Document
from one_runtime.webhooks.endpoints import expand, without_query

Action: TypeAlias = Literal["create", "update", "delete"]

SECRET: Final = "client_secret"
_MAX_VALUE: Final = 60
"""Maximum length of a value in the lines of a change. A logo has thousands of characters."""

_ORGANIZATION: Final = "/v1/organization"
_CUSTOM: Final = "/v1/custom-integrations"
_ENDPOINTS: Final = "/v1/webhook-endpoints"
_SETTINGS: Final = (
    "display_name",
    "logo_url",
    "privacy_url",
    "allowed_origins",
    "return_urls",
    "integrations",
    "agents",
    "branding",
    "several_connections",
)
NULLABLE: Final = frozenset(
    {
        "logo_url",
        "privacy_url",
        "agents.connect_url",
        "agents.sign_in_url",
        "agents.integrations",
        "agents.hosts",
        "agents.methods",
        "branding.accent_color",
        "branding.accent_color_dark",
        "branding.logo_dark_url",
    }
)
"""The settings that can be null. For every other setting, null would mean the default, which the file cannot name."""
_ENDPOINT_DEFAULTS: Final = {"kind": "push", "include": [], "description": "", "status": "active"}
_CHANGEABLE: Final = ("event_types", "include", "description", "status")
_CHANGED_TOGETHER: Final = 3
"""Maximum number of plans that `apply` carries out. A change can cause another one: a definition with a new host
retires the OAuth client that does not fit any more, which the next plan registers again."""


class ConfigurationApi(Protocol):
    """The HTTP API of a server, with an API key of the organization."""

    async def fetch(self, path: str) -> tuple[Document, str | None]:
        """Return the JSON object at a path, and its `ETag`."""

    async def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, if_match: str | None = None
    ) -> Document:
        """Send a request, and return the JSON object of the response."""


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """One request of a plan.

    - `place`: the changed part of the file, such as `oauth_clients.hubspot`.
    - `details`: a line for each changed value, without secrets.
    - `if_match`: the `ETag` of the present object, so that the request cannot undo a change of another program.
    """

    action: Action
    place: str
    details: tuple[str, ...]
    method: str
    path: str
    body: Document | None = field(default=None, repr=False)
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes in the order in which `apply` makes them.

    `unmanaged`: the places that exist at the server and not in the file, in the sections that the file has.
    """

    changes: tuple[ConfigurationChange, ...]
    unmanaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """The changes that `apply` made. `secrets`: the secrets of new webhook endpoints, by place."""

    changes: tuple[ConfigurationChange, ...]
    secrets: Mapping[str, str] = field(repr=False)


async def export(api: ConfigurationApi) -> Configuration:
    """Return the configuration of the organization. Each secret is a reference to an environment variable."""
    settings, _ = await api.fetch(_ORGANIZATION)
    integrations, _ = await api.fetch(_CUSTOM)
    clients, _ = await api.fetch("/v1/oauth-clients")
    endpoints = [await _full_endpoint(api, each) for each in await _list_endpoints(api)]
    return Configuration(
        organization={name: settings[name] for name in _SETTINGS if name in settings},
        custom_integrations={each["slug"]: each["definition"] for each in integrations["custom_integrations"]},
        oauth_clients={each["integration_slug"]: _exported_client(each) for each in clients["oauth_clients"]},
        webhook_endpoints=[_exported_endpoint(each) for each in endpoints],
    )


async def plan(api: ConfigurationApi, configuration: Configuration, *, prune: bool = False) -> Plan:
    """Compare the file with the organization.

    `prune`: delete what is at the server and not in the file, in the sections that the file has.

    Raises: InvalidInput for content of the file that cannot be compared; the errors of `api`.
    """
    parts = [
        await _plan_custom_integrations(api, configuration.custom_integrations),
        await _plan_organization(api, configuration.organization),
        await _plan_clients(api, configuration.oauth_clients),
        await _plan_endpoints(api, configuration.webhook_endpoints),
    ]
    deletions = [change for part in reversed(parts) for change in part if change.action == "delete"]
    changes = [change for part in parts for change in part if change.action != "delete"]
    if prune:
        return Plan((*changes, *deletions), ())
    return Plan(tuple(changes), tuple(change.place for change in deletions))


async def apply(api: ConfigurationApi, configuration: Configuration, first: Plan, *, prune: bool = False) -> Applied:
    """Carry out a plan, and what follows from it. Raises: the errors of `api`; the changes so far stay."""
    changes, secrets, pending = list[ConfigurationChange](), dict[str, str](), first
    for _ in range(_CHANGED_TOGETHER):
        for change in pending.changes:
            answer = await api.call(change.method, change.path, change.body, if_match=change.if_match)
            changes.append(change)
            if isinstance(answer.get("secret"), str):
                secrets[change.place] = answer["secret"]
        if not pending.changes:
            break
        pending = await plan(api, configuration, prune=prune)
    return Applied(tuple(changes), secrets)


def differences(before: object, after: object, place: str = "") -> Iterator[str]:
    """Yield a line for each value that differs. `after`: the wanted value. It can be a part of a mapping."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name, value in after.items():
            yield from differences(before.get(name), value, f"{place}.{name}".removeprefix("."))
    elif isinstance(before, list) and isinstance(after, list) and before != after:
        added = [_shown(item) for item in after if item not in before]
        removed = [_shown(item) for item in before if item not in after]
        parts = [f"+ {item}" for item in added] + [f"- {item}" for item in removed]
        yield f"{place}: {', '.join(parts) or 'another order'}"
    elif before != after:
        yield f"{place}: {_shown(before)} → {_shown(after)}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}… ({len(text):,} characters)"


async def _plan_organization(api: ConfigurationApi, wanted: Document | None) -> list[ConfigurationChange]:
    if wanted is None:
        return []
    _require_known("organization", wanted, _SETTINGS)
    _refuse_null("", wanted)
    present, etag = await api.fetch(_ORGANIZATION)
    details = tuple(differences({name: present.get(name) for name in wanted}, wanted))
    if not details:
        return []
    return [ConfigurationChange("update", "organization", details, "PATCH", _ORGANIZATION, wanted, etag)]


def _refuse_null(place: str, settings: Mapping[str, object]) -> None:
    for name, value in settings.items():
        inner = f"{place}.{name}".removeprefix(".")
        if isinstance(value, Mapping):
            _refuse_null(inner, value)
        elif value is None and inner not in NULLABLE:
            raise InvalidInput.of(f"organization.{inner}", "must not be null. Leave the key out, or write the value")


async def _plan_custom_integrations(
    api: ConfigurationApi, wanted: Mapping[str, Document] | None
) -> list[ConfigurationChange]:
    if wanted is None:
        return []
    answer, _ = await api.fetch(_CUSTOM)
    present = {each["slug"]: each["definition"] for each in answer["custom_integrations"]}
    changes = list[ConfigurationChange]()
    for slug, definition in wanted.items():
        place, path = f"custom_integrations.{slug}", f"{_CUSTOM}/{slug}"
        complete = _complete_definition(place, slug, definition)
        if slug not in present:
            changes.append(ConfigurationChange("create", place, (f"name: {complete['name']}",), "PUT", path, complete))
        elif complete != present[slug]:
            _, etag = await api.fetch(path)
            details = _definition_differences(present[slug], complete)
            changes.append(ConfigurationChange("update", place, details, "PUT", path, complete, etag))
    return [*changes, *_deletions("custom_integrations", present, wanted, _CUSTOM + "/{}")]


def _complete_definition(place: str, slug: str, definition: Document) -> Document:
    """Return a definition as the server stores it, so that two spellings of one definition are equal."""
    try:
        entry = read_custom(json.dumps({"slug": slug, **definition}), "json", slug, allow_http=True)
    except SourceError as error:
        complaints = "\n".join(f"{place}: {complaint.statement}" for complaint in error.complaints)
        raise InvalidInput(complaints) from error
    return dict(written(entry.integration, entry.logo))


def _definition_differences(present: Document, wanted: Document) -> tuple[str, ...]:
    removed = {name: None for name in present if name not in wanted}
    return tuple(differences(present, {**wanted, **removed}))


async def _plan_clients(api: ConfigurationApi, wanted: Mapping[str, Document] | None) -> list[ConfigurationChange]:
    if wanted is None:
        return []
    answer, _ = await api.fetch("/v1/oauth-clients")
    present = {each["integration_slug"]: each for each in answer["oauth_clients"]}
    changes = list[ConfigurationChange]()
    for slug, client in wanted.items():
        place, path = f"oauth_clients.{slug}", _client_path(slug)
        _require_known(place, client, ("client_id", SECRET, "scopes", "hosts", "fields"))
        if slug not in present:
            described = (f"client_id: {client.get('client_id')}",)
            changes.append(ConfigurationChange("create", place, described, "PUT", path, client))
            continue
        details = tuple(_client_differences(present[slug], client))
        if details:
            _, etag = await api.fetch(path)
            changes.append(ConfigurationChange("update", place, details, "PUT", path, client, etag))
    return [*changes, *_deletions("oauth_clients", present, wanted, _client_path("{}"))]


def _client_path(slug: str) -> str:
    return f"/v1/integrations/{slug}/oauth-client"


def _client_differences(present: Document, wanted: Document) -> Iterator[str]:
    """Yield the lines for a registered client. The API returns no secret, so compare its last characters."""
    yield from differences(present["client_id"], wanted.get("client_id"), "client_id")
    secret, last_four = wanted.get(SECRET), present["client_secret_last_four"]
    if isinstance(secret, str) and last_four is not None and not secret.endswith(last_four):
        yield f"{SECRET}: …{last_four} → another secret"
    yield from differences(present["scopes"], wanted.get("scopes"), "scopes")
    if "hosts" in wanted:
        yield from differences(present["hosts"], wanted["hosts"], "hosts")
    missing = sorted(set(wanted.get("fields", {})) - set(present["fields"]))
    if missing:
        yield f"fields: + {', '.join(missing)}"


def _exported_client(client: Document) -> Document:
    variable = client["integration_slug"].upper().replace("-", "_")
    exported: Document = {"client_id": client["client_id"], SECRET: {"env": f"{variable}_CLIENT_SECRET"}}
    if client["scopes"] is not None:
        exported["scopes"] = client["scopes"]
    if client["hosts"]:
        exported["hosts"] = client["hosts"]
    if client["fields"]:
        exported["fields"] = {name: {"env": f"{variable}_{name.upper()}"} for name in client["fields"]}
    return exported


async def _list_endpoints(api: ConfigurationApi) -> list[Document]:
    """Return the endpoints that stay. A temporary one belongs to a command such as `webhooks listen`."""
    answer, _ = await api.fetch(_ENDPOINTS)
    return [each for each in answer["webhook_endpoints"] if each["expires_at"] is None]


async def _full_endpoint(api: ConfigurationApi, endpoint: Document) -> Document:
    """Return an endpoint with the query of its URL, which the list omits."""
    answer, _ = await api.fetch(f"{_ENDPOINTS}/{endpoint['id']}")
    return answer


def _exported_endpoint(endpoint: Document) -> Document:
    values = {"kind": endpoint["kind"], "url": endpoint["url"], **{name: endpoint[name] for name in _CHANGEABLE}}
    if values["status"] == "disabled":  # by One Runtime, which is no setting
        values["status"] = "active"
    named = {name: value for name, value in values.items() if value is not None}
    return {name: value for name, value in named.items() if value != _ENDPOINT_DEFAULTS.get(name)}


async def _plan_endpoints(api: ConfigurationApi, wanted: Sequence[Document] | None) -> list[ConfigurationChange]:
    if wanted is None:
        return []
    remaining, changes = await _list_endpoints(api), list[ConfigurationChange]()
    for index, item in enumerate(wanted):
        place = f"webhook_endpoints[{index}]"
        _require_known(place, item, ("kind", "url", *_CHANGEABLE))
        complete = {**_ENDPOINT_DEFAULTS, **item}
        complete["event_types"] = expand(_texts(place, complete), f"{place}.event_types")
        found = await _find_endpoint(api, remaining, complete)
        if found is None:
            body = {name: value for name, value in complete.items() if name != "status"}
            described = f"url: {without_query(item['url'])}" if item.get("url") else f"kind: {complete['kind']}"
            changes.append(ConfigurationChange("create", place, (described,), "POST", _ENDPOINTS, body))
            continue
        remaining.remove(found)
        settings = {name: complete[name] for name in _CHANGEABLE}
        details = tuple(differences({name: found[name] for name in settings}, settings))
        if details:
            path = f"{_ENDPOINTS}/{found['id']}"
            _, etag = await api.fetch(path)
            changes.append(ConfigurationChange("update", place, details, "PATCH", path, settings, etag))
    for endpoint in remaining:
        name = endpoint["url"] or endpoint["description"] or endpoint["id"]
        changes.append(_deletion(f"webhook_endpoints: {name}", f"{_ENDPOINTS}/{endpoint['id']}"))
    return changes


async def _find_endpoint(api: ConfigurationApi, present: Iterable[Document], wanted: Document) -> Document | None:
    """Return the endpoint with the URL, or for the kind `pull` with the description."""
    for endpoint in present:
        if endpoint["kind"] != wanted["kind"]:
            continue
        if wanted["kind"] == "pull":
            is_same = endpoint["description"] == wanted["description"]
        else:
            url = str(wanted.get("url"))
            is_same = endpoint["url"] == without_query(url) and (await _full_endpoint(api, endpoint))["url"] == url
        if is_same:
            return endpoint
    return None


def _texts(place: str, endpoint: Document) -> list[str]:
    types = endpoint.get("event_types")
    if not isinstance(types, list) or not all(isinstance(kind, str) for kind in types):
        raise InvalidInput.of(f"{place}.event_types", "must be a list of event types, such as [connection.*]")
    return types


def _require_known(place: str, values: Document, names: Sequence[str]) -> None:
    unknown = [name for name in values if name not in names]
    if unknown:
        raise InvalidInput.of(f"{place}.{unknown[0]}", f"is not a setting. Available: {', '.join(names)}")


def _deletions(
    section: str, present: Iterable[str], wanted: Mapping[str, Document], path: str
) -> list[ConfigurationChange]:
    return [_deletion(f"{section}.{slug}", path.format(slug)) for slug in present if slug not in wanted]


def _deletion(place: str, path: str) -> ConfigurationChange:
    return ConfigurationChange("delete", place, (), "DELETE", path)
