"""Generate the parts of the JavaScript client that follow from the API: types, operations and the list of methods."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.client_generator.description import DEFAULTS, ROOT, Method, Model, Property, Resource, Type
from scripts.client_generator.rendering import Templates, with_table, wrapped

README: Final = ROOT / "clients" / "js" / "README.md"
FOLDER: Final = ROOT / "clients" / "js" / "src" / "resources"
"""The folder contains only generated files."""
_IDENTIFYING: Final = 3
"""Number of properties by which the client recognizes an answer: the first ones that every answer of its class has.

An answer without these properties, or without a secret that it should have, comes from another server. The document
requires more properties, but an older server can lack those that were added since. So add a property at the end of its
class.
"""
ALIASES: Final[Mapping[str, str]] = {
    "AuthType": "catalog.auth_type",
    "ConnectionStatus": "connections.status",
    "Expand": "integrations.expand",
    "KeyScope": "api_keys.scopes",
    "Logo": "catalog.logo",
    "Mode": "sessions.mode",
    "SessionStatus": "sessions.status",
}
"""Enumerations with a name, each with a resource and a property that has the values."""
INTERFACES: Final = {"organization": "OrganizationSettings"}
"""Names of interfaces that differ from the names of the resources."""
INLINE: Final = frozenset({"NewDisconnection", "Redemption"})
"""Bodies without a name in the client. Only one method needs each of these bodies."""
QUERIES: Final = {"CatalogQuery": "catalog.list"}
"""Queries with a name, each with the method that has exactly this query. Other queries can contain the same part."""
_PAGING: Final = {"Paging": ("limit", "cursor")}
_ARGUMENT_TYPES: Final = {"actor_type": "string | string[]", "expand": "Expand | Expand[]"}
"""Types of arguments that accept more than the document: further kinds of actors, and a list with one value."""
_RESET_BY_NULL: Final = frozenset({"logo_url", "privacy_url"})
"""Properties of a body that accept null, although the request is not a merge patch."""
_HAND_WRITTEN: Final = {
    "../pages.js": ("Pages", "Paging"),
    "../transport.js": ("RequestOptions", "Transport"),
    "../values.js": ("Definition", "Metadata"),
}
_KEYS_OF_CREDENTIALS: Final = frozenset({"client_id", "client_secret", "expires_at"})
"""The client does not change these names inside `credentials`."""
_SCALARS: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "time": "string",
    "date": "string",
    "any": "unknown",
}
_WIDTH: Final = 120


def files(resources: tuple[Resource, ...], event_types: Sequence[str]) -> dict[Path, str]:
    """Return the generated files by path."""
    templates = Templates()
    api = _Api(resources)
    views = [_ResourceView(resource, api) for resource in resources]
    client = next(view for view in views if not view.name)
    named = [view for view in views if view.name]
    texts = {view.file: templates.render("javascript_resource.jinja", resource=view) for view in named}
    texts["api"] = templates.render("javascript_client.jinja", resources=named, client=client)
    generated = {FOLDER / f"{name}.ts": api.with_imports(name, text) for name, text in texts.items()}
    generated[FOLDER / "event-types.ts"] = templates.render("javascript_event_types.jinja", event_types=event_types)
    exports = templates.render("javascript_exports.jinja", resources=named)
    return generated | {FOLDER / "index.ts": exports, README: with_table(README, _method_rows(views))}


class _Api:
    """The names of all resources together, and the types that follow from them."""

    def __init__(self, resources: tuple[Resource, ...]) -> None:
        self.models = {model.name: model for resource in resources for model in resource.models}
        methods = [method for resource in resources for method in resource.methods]
        properties = [item for method in methods for item in _arguments(method)]
        properties += [item for model in self.models.values() for item in model.properties]
        self.names = {item.name for item in properties}
        self.values = {value for item in properties for value in _innermost(item.type).choices}
        self.enumerations = {name: _choices(resources, place) for name, place in ALIASES.items()}
        self._aliases = {frozenset(choices): name for name, choices in self.enumerations.items()}
        self.queries: dict[str, tuple[str, ...]] = _PAGING | {
            name: tuple(item.name for item in method.query)
            for name, place in QUERIES.items()
            for resource in resources
            for method in resource.methods
            if place == f"{resource.name}.{method.name}"
        }
        self.modules = {name: module for module, names in _HAND_WRITTEN.items() for name in names}
        for view in (_ResourceView(resource, self) for resource in resources if resource.name):
            self.modules |= dict.fromkeys(view.declared, f"./{view.file}.js")

    def properties_of(self, name: str) -> dict[str, Property]:
        """Return the properties of a class of answers by name, with the properties of its parent."""
        model = self.models[name]
        inherited = self.properties_of(model.parent) if model.parent else {}
        return inherited | {item.name: item for item in model.properties}

    def type_of(self, kind: Type) -> str:
        """Return the type of a value, without null."""
        if kind.kind == "list" and kind.of is not None:
            items = self.nullable(kind.of)
            return f"({items})[]" if " " in items else f"{items}[]"
        if kind.kind == "map" and kind.of is not None:
            return f"{{ [key: string]: {self.nullable(kind.of)} }}"
        if kind.kind == "choice":
            return self._aliases.get(frozenset(kind.choices)) or _union(kind.choices)
        return kind.model or _SCALARS[kind.kind]

    def nullable(self, kind: Type) -> str:
        """Return the type of a value, with null if the value can be null."""
        return f"{self.type_of(kind)} | null" if kind.nullable else self.type_of(kind)

    def text(self, text: str, own: Iterable[str] = ()) -> str:
        """Return a text of the API with the names of the client. `own`: names that the text describes.

        Some names are also values, such as `api_key`. The client does not change values.
        """
        unchanged = (self.values | _KEYS_OF_CREDENTIALS) - {*own}
        changed = self.names - unchanged
        text = re.sub(r"`(\w+)=(\w+)`", r'`\1: "\2"`', text)
        return re.sub(r"`(\w+)`", lambda name: f"`{_camel(name[1])}`" if name[1] in changed else name[0], text)

    def with_imports(self, file: str, text: str) -> str:
        """Return the text of a file with imports of the types that the file uses and does not declare."""
        code = re.sub(r"/\*.*?\*/|\"[^\"]*\"", "", text, flags=re.DOTALL)
        imported: dict[str, set[str]] = {}
        for name in {*re.findall(r"\b[A-Z]\w*", code)} & self.modules.keys():
            if f"{{ type {name} }}" not in text:  # the template has no import of the type
                imported.setdefault(self.modules[name], set()).add(name)
        imported.pop(f"./{file}.js", None)
        lines = [
            f'import type {{ {", ".join(sorted(names))} }} from "{module}";'
            for module, names in sorted(imported.items())
        ]
        return text.replace("// imports\n", "".join(f"{line}\n" for line in lines))


class _ResourceView:
    """A resource with the declarations and the operations of its file."""

    def __init__(self, resource: Resource, api: _Api) -> None:
        self.name, self.file = _camel(resource.name), resource.name.replace("_", "-")
        self.title = INTERFACES.get(resource.name) or _title(resource.name)
        self.description = resource.description
        self.header = _comment(f"{resource.description}\n\n`python -m scripts.generate_clients` writes this file.", 0)
        self.methods = [_MethodView(method, api) for method in resource.methods]
        self.aliases = [
            (name, _union(choices))
            for name, choices in api.enumerations.items()
            if ALIASES[name].startswith(f"{resource.name}.")
        ]
        self.interfaces = [*self._queries(resource, api), *self._inputs(resource, api)]
        if resource.name:  # the classes of the client's own methods are in the file of another resource
            self.interfaces += [_answer(model, api) for model in resource.models]

    @property
    def declared(self) -> list[str]:
        """Return the names of all types in the file."""
        return [self.title, *(name for name, _ in self.aliases), *(each.name for each in self.interfaces)]

    @staticmethod
    def _queries(resource: Resource, api: _Api) -> "Iterator[_Interface]":
        for name, place in QUERIES.items():
            for method in resource.methods:
                if place == f"{resource.name}.{method.name}":
                    members = [_argument(item, method, api) for item in method.query]
                    yield _Interface(name, "", _comment("The part of a query that selects integrations.", 0), members)

    @staticmethod
    def _inputs(resource: Resource, api: _Api) -> "Iterator[_Interface]":
        for method in resource.methods:
            for model in method.inputs:
                if model.name not in api.models and model.name not in INLINE:
                    names = [item.name for item in model.properties]
                    members = [_argument(item, method, api) for item in model.properties]
                    yield _Interface(model.name, "", _comment(api.text(model.description, names), 0), members)


@dataclass(frozen=True, slots=True)
class _Member:
    """A property of an object type."""

    name: str
    type: str
    optional: bool
    description: str

    def lines(self, indent: int) -> str:
        """Return the declaration with its comment."""
        comment = _comment(self.description, indent)
        return f"{comment}{' ' * indent}{self.name}{'?' * self.optional}: {self.type};"


@dataclass(frozen=True, slots=True)
class _Interface:
    """An object type with a name."""

    name: str
    parent: str
    comment: str
    members: list[_Member]


def _answer(model: Model, api: _Api) -> _Interface:
    """Return the interface of a class of answers. An answer contains every property with a default."""
    own = [*api.properties_of(model.name)]
    members = []
    for item in model.properties:
        optional = not item.required and item.default is None
        kind = api.type_of(item.type) if optional else api.nullable(item.type)
        kind = "Metadata" if item.name == "metadata" else kind
        members.append(_Member(_camel(item.name), kind, optional, api.text(item.description, own)))
    return _Interface(model.name, model.parent or "", _comment(api.text(model.description, own), 0), members)


def _argument(item: Property, method: Method, api: _Api) -> _Member:
    """Return a property of a query or a body. A list in a query can also be one value."""
    kind = _ARGUMENT_TYPES.get(item.name) or api.type_of(item.type)
    if item.name == "metadata":
        kind = "Metadata"
    elif item.type.model in api.models:
        kind = f"Partial<{kind}>"
    elif item in method.query and item.type.kind == "list" and item.name not in _ARGUMENT_TYPES:
        kind = f"{kind.removesuffix('[]')} | {kind}"
    if item.type.nullable and (method.partial or (method.verb == "PUT" and item.name in _RESET_BY_NULL)):
        kind += " | null"
    own = [each.name for each in _arguments(method)]
    states = item.default not in {None, ()} and "Default: " not in item.description
    text = f"{item.description} Default: {_default(item.default)}." if states else item.description
    if item.type.kind == "map" and kind != "Metadata":
        text += " The client does not change the keys."
    return _Member(_camel(item.name), kind, not item.required, api.text(text.strip(), own))


class _MethodView:
    """A method with its signature and its operation."""

    def __init__(self, method: Method, api: _Api) -> None:
        self.name, self.route, self.answer = method.name, method.route, method.answer
        self._method, self._api = method, api
        self.verb, self.path, self.creates, self.paged = method.verb, method.path, method.creates, method.pages
        self.items = _camel(method.member or "")
        self.variables = [_camel(item.name) for item in method.path_parameters]

    @property
    def takes(self) -> str:
        """Return the part of the request that contains the method's input."""
        if self._method.document:
            return "definition"
        return "body" if self._method.body is not None else "query" if self._method.query else ""

    @property
    def returns(self) -> list[str]:
        """Return the properties by which the client recognizes the answer."""
        present = [item for item in self._api.properties_of(self.answer).values() if item.required]
        always = [item for item in present if not item.type.nullable]
        return [
            _camel(item.name)
            for item in (*always[:_IDENTIFYING], *(item for item in always[_IDENTIFYING:] if item.secret))
        ]

    @property
    def secrets(self) -> list[str]:
        """Return the properties of the answer that the client does not print."""
        properties = self._api.properties_of(self.answer)
        return [_camel(item.name) for item in properties.values() if item.secret]

    @property
    def defaults(self) -> dict[str, str]:
        """Return the defaults of the query that differ from the API's defaults."""
        return {_camel(item.name): DEFAULTS[item.name] for item in self._method.query if item.name in DEFAULTS}

    @property
    def result(self) -> str:
        """Return the type of the result, without the promise."""
        if self.paged:
            return f"Pages<{self.answer}>"
        return f"{self.answer}[]" if self.items else self.answer

    @property
    def promise(self) -> str:
        """Return the type of the returned value."""
        return self.result if self.paged else f"Promise<{self.result}>"

    @property
    def arguments(self) -> str:
        """Return the arguments with their types, as lines of a method in an interface."""
        arguments = [f"{name}: string" for name in self.variables]
        if self.takes:
            optional = self.takes == "query" and not any(item.required for item in self._method.query)
            name = "input" if self.takes == "body" else self.takes
            arguments.append(f"{name}{'?' * optional}: {self._input()}")
        arguments.append("options?: RequestOptions")
        line = ", ".join(arguments)
        if "\n" not in line and len(f"  {self.name}({line}): {self.promise};") <= _WIDTH:
            return line
        return "\n" + "".join(f"    {argument},\n" for argument in arguments) + "  "

    @property
    def _named_input(self) -> str | None:
        """Return the name of the interface of the body, or None."""
        return next((model.name for model in self._method.inputs[:1] if model.name not in INLINE), None)

    def _input(self) -> str:
        """Return the type of the method's input."""
        if self.takes == "definition":
            return "Definition"
        if self._named_input:
            return self._named_input
        properties = self._method.body or self._method.query
        present = {item.name for item in properties}
        parts = {name: names for name, names in self._api.queries.items() if present.issuperset(names)}
        named = {name for names in parts.values() for name in names}
        members = [_argument(item, self._method, self._api) for item in properties if item.name not in named]
        own = ["{\n" + "".join(f"{member.lines(6)}\n" for member in members) + "    }"] if members else []
        return " & ".join([*own, *parts])

    @property
    def comment(self) -> str:
        """Return the comment of the method in an interface."""
        method = self._method
        own = [item.name for item in _arguments(method)]
        own += self._api.properties_of(self.answer)
        tags = [
            f"@param {_camel(item.name)} {self._api.text(item.description, own)}" for item in method.path_parameters
        ]
        tags += [f"@throws {{{name}}} with the code {_alternatives(codes)}." for name, codes in method.errors.items()]
        text = method.description if self._named_input else f"{method.description}\n\n{method.note}"
        return _comment(self._api.text(text, own), 2, tags)

    @property
    def call(self) -> str:
        """Return the arguments of a call, with the required properties of the input."""
        arguments = [*self.variables]
        required = [_camel(item.name) for item in _arguments(self._method)[len(arguments) :] if item.required]
        if self.takes == "definition":
            arguments.append("definition")
        elif required:
            arguments.append(f"{{ {', '.join(required)} }}")
        elif self.takes == "body":
            arguments.append("{ … }")
        return f"{self.name}({', '.join(arguments)})"


def _arguments(method: Method) -> list[Property]:
    """Return the path parameters, and then the properties of the body and the query."""
    return [*method.path_parameters, *(method.body or ()), *method.query]


def _innermost(kind: Type) -> Type:
    return _innermost(kind.of) if kind.of is not None else kind


def _choices(resources: tuple[Resource, ...], place: str) -> tuple[str, ...]:
    """Return the values of a property, such as `catalog.auth_type`."""
    name, _, wanted = place.partition(".")
    (resource,) = (each for each in resources if each.name == name)
    properties = [item for method in resource.methods for item in _arguments(method)]
    properties += [item for model in resource.models for item in model.properties]
    return next(_innermost(item.type).choices for item in properties if item.name == wanted)


def _union(choices: Iterable[str]) -> str:
    return " | ".join(json.dumps(choice) for choice in choices)


def _alternatives(values: Iterable[str]) -> str:
    """Return values as a text, such as "`a`, `b` or `c`"."""
    *others, last = (f"`{value}`" for value in values)
    return f"{', '.join(others)} or {last}" if others else last


def _default(value: object) -> str:
    """Return a default as the client's documentation shows it."""
    return ", ".join(f"`{each}`" for each in value) if isinstance(value, tuple) else f"`{json.dumps(value)}`"


def _camel(name: str) -> str:
    """Return `end_user_id` as `endUserId`, like `camelCase` of the client."""
    return re.sub(r"_([a-z0-9])", lambda letter: letter[1].upper(), name)


def _title(name: str) -> str:
    """Return the interface of a resource: `oauth_clients` is `OAuthClients`."""
    return "".join(part.capitalize() for part in name.split("_")).replace("Oauth", "OAuth")


def _comment(text: str, indent: int, tags: Iterable[str] = ()) -> str:
    """Return a comment with a line break at its end, or an empty string if the text is empty."""
    margin = " " * indent
    width = _WIDTH - indent - len(" * ")
    text = (text[:1].upper() + text[1:]).replace("*/", "*\\/")
    blocks = [wrapped(block, width) for block in text.split("\n\n") if block.strip()]
    lines = "\n\n".join([*blocks, *(["\n".join(wrapped(tag, width) for tag in tags)] if tags else [])]).splitlines()
    if not lines:
        return ""
    if len(lines) == 1 and len(lines[0]) <= width - len("/** */") + len(" * "):
        return f"{margin}/** {lines[0]} */\n"
    return "".join([f"{margin}/**\n", *(f"{margin} * {line}".rstrip() + "\n" for line in lines), f"{margin} */\n"])


def _method_rows(views: Iterable[_ResourceView]) -> Iterator[str]:
    """Yield the table of all methods."""
    yield "| method | request | result |\n|---|---|---|"
    for view in views:
        for method in view.methods:
            name = f"{view.name}.{method.call}" if view.name else method.call
            yield f"| `{name}` | `{method.route}` | `{method.result}` |"
