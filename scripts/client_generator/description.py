"""Describe the API for the generators of the clients: the resources, their methods, and the classes of the answers.

The description comes from the OpenAPI document. `x-sdk-name` is the name of a method. The tables at the top of this
module contain the few facts that the document cannot express. The methods of `proxy` are not described, because their
answers and bodies have any form.
"""

import re
import runpy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
Kind: TypeAlias = Literal[
    "string", "integer", "number", "boolean", "time", "date", "choice", "list", "map", "model", "any"
]

DESCRIPTIONS: Final[Mapping[str, str]] = {"": "The client.", "proxy_requests": "The log of calls through the proxy."}
"""Descriptions of resources that do not have a tag of their own."""
DEFAULTS: Final[Mapping[str, Any]] = {"logo": "url"}
"""Defaults of the clients that differ from the API's defaults."""
SECRETS: Final = frozenset(
    {
        "api_key",
        "approval_url",
        "connect_url",
        "continue_url",
        "credentials",
        "end_user_token",
        "key",
        "secret",
        "session_token",
        "token",
    }
)
"""Strings and maps with these names are secret. The clients do not print them."""
MOST_CHOICES: Final = 8
"""A longer enumeration grows in later versions. So its type is a string."""
ROOT: Final = Path(__file__).resolve().parent.parent.parent
_ERRORS: Final = ROOT / "clients" / "python" / "src" / "one_runtime_client" / "errors.py"
_CLASS_OF: Final = runpy.run_path(str(_ERRORS))["class_of"]
"""The package itself is not imported, because its generated files can be missing. Both clients have these classes."""
_PROPERTY: Final = re.compile(r"^- `(\w+)`: (.+?)(?=^- `|^\S|\Z)", re.MULTILINE | re.DOTALL)
_GENERAL: Final = frozenset({400, 401, 403, 408, 413, 429, 500, 503})
"""Errors of every operation. The clients document them once."""


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value. `of`: the type of a list's items or of a map's values. `model`: the name of a class."""

    kind: Kind
    nullable: bool = False
    of: "Type | None" = None
    choices: tuple[str, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an object, or an argument of a method."""

    name: str
    type: Type
    required: bool
    description: str = ""
    default: str | int | bool | tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[str, Type, bool]:
        """Return the values that an object with the property shows. Two classes can describe a property differently."""
        return self.name, self.type, self.required

    @property
    def secret(self) -> bool:
        """Return True if the clients must not print the value."""
        return self.name in SECRETS and self.type.kind in {"string", "map"}


@dataclass(frozen=True, slots=True)
class Model:
    """A class of answers. `properties` contains only the properties that `parent` does not have."""

    name: str
    description: str
    properties: tuple[Property, ...]
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The errors of an operation with one HTTP status."""

    status: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """An operation of the API as a method of a resource.

    `note`: the description of the body, or an empty string. `body`: the properties of a JSON body, or None. `inputs`:
    the class of the body, then the classes inside the body. `document`: True for a body in YAML or JSON that the caller
    wrote. `answer`: the class of the answer. `member`: the member of the answer with the list. `pages`: True
    for a list with a cursor. `creates`: True if the client sends an `Idempotency-Key`.
    """

    name: str
    verb: str
    path: str
    description: str
    note: str
    path_parameters: tuple[Property, ...]
    query: tuple[Property, ...]
    body: tuple[Property, ...] | None
    inputs: tuple[Model, ...]
    document: bool
    answer: str
    member: str | None
    pages: bool
    creates: bool
    failures: tuple[Failure, ...]

    @property
    def route(self) -> str:
        """Return the HTTP method and the path."""
        return f"{self.verb} {self.path}"

    @property
    def partial(self) -> bool:
        """Return True if null is another value than an omitted property (RFC 7396)."""
        return self.verb == "PATCH"

    @property
    def errors(self) -> dict[str, tuple[str, ...]]:
        """Return the codes of errors by the class that both clients raise."""
        errors: dict[str, dict[str, None]] = {}
        for failure in self.failures:
            for code in failure.codes:
                errors.setdefault(_CLASS_OF(code, failure.status).__name__, {})[code] = None
        return {name: tuple(codes) for name, codes in errors.items()}


@dataclass(frozen=True, slots=True)
class Resource:
    """A group of methods. The resource without a name is the client itself. `models`: the classes of its answers."""

    name: str
    description: str
    methods: tuple[Method, ...]
    models: tuple[Model, ...]


@dataclass(slots=True)
class _Reader:
    document: Schema
    properties: dict[str, tuple[Property, ...]] = field(default_factory=dict)

    def resources(self) -> tuple[Resource, ...]:
        """Return the resources by name. A class belongs to the first resource that needs it."""
        methods: dict[str, list[Method]] = {}
        tags: dict[str, str] = {}
        for name, tag, method in self._methods():
            resource = name.rpartition(".")[0]
            methods.setdefault(resource, []).append(method)
            tags.setdefault(resource, tag)
        models = self._models({method.answer for group in methods.values() for method in group})
        parents = {model.name: model.parent for model in models}
        described_tags = {tag["name"]: tag["description"] for tag in self.document["tags"]}
        owners = {model.name: self._owner(model.name, methods, parents) for model in models}
        return tuple(
            Resource(
                name,
                DESCRIPTIONS.get(name) or described_tags[tags[name]],
                tuple(group),
                tuple(model for model in models if owners[model.name] == (name or "connections")),
            )
            for name, group in sorted(methods.items())
        )

    def _methods(self) -> Iterator[tuple[str, str, Method]]:
        """Yield the name, the tag and the method of each operation."""
        for path, operations in self.document["paths"].items():
            for verb, operation in operations.items():
                name = operation.get("x-sdk-name", "proxy.")
                if not name.startswith("proxy."):
                    yield name, operation["tags"][0], self._method(name, verb.upper(), path, operation)

    def _method(self, name: str, verb: str, path: str, operation: Schema) -> Method:
        parameters = operation.get("parameters", ())
        content = operation.get("requestBody", {}).get("content", {})
        body = content.get("application/json", {}).get("schema", {}) if len(content) == 1 else {}
        inputs = self._inputs(body)
        body = self._resolved(body)
        answer, member, pages = self._answer(operation)
        name = name.rpartition(".")[2]
        return Method(
            name=name,
            verb=verb,
            path=path,
            description=_description(operation),
            note=_facts(body),
            path_parameters=tuple(self._parameter(item) for item in parameters if item["in"] == "path"),
            query=tuple(self._parameter(item) for item in parameters if item["in"] == "query"),
            body=self._properties_of(body) if body else None,
            inputs=inputs,
            document=len(content) > 1,
            answer=answer,
            member=member,
            pages=pages,
            creates=any(item["name"] == "Idempotency-Key" for item in parameters),
            failures=tuple(_failures(operation)),
        )

    def _inputs(self, body: Schema) -> tuple[Model, ...]:
        names: dict[str, None] = {}
        if "$ref" in body:
            self._collect(_reference(body), names)
        schemas = self.document["components"]["schemas"]
        return tuple(
            Model(name, _without_properties(schemas[name]), self._properties(name)) for name in reversed(names)
        )

    def _parameter(self, parameter: Schema) -> Property:
        schema = parameter["schema"]
        default = DEFAULTS.get(parameter["name"], _default(schema))
        described = parameter.get("description") or _description(schema)
        return Property(parameter["name"], self.type_of(schema), parameter.get("required", False), described, default)

    def _answer(self, operation: Schema) -> tuple[str, str | None, bool]:
        """Return the class of the answer, the member with the list, and True for a list with pages."""
        schema, *_ = [
            response["content"]["application/json"]["schema"]
            for status, response in operation["responses"].items()
            if status.startswith("2") and "application/json" in response.get("content", {})
        ]
        name = _reference(schema)
        if not name.endswith(("List", "Page")):
            return name, None, False
        properties = self._resolved(schema)["properties"]
        (member,) = (member for member, schema in properties.items() if schema.get("type") == "array")
        return _reference(properties[member]["items"]), member, "next_cursor" in properties

    def _models(self, roots: set[str]) -> list[Model]:
        names: dict[str, None] = {}
        for root in sorted(roots):
            self._collect(root, names)
        models = {name: self._model(name, [*names]) for name in names}
        ordered: dict[str, Model] = {}
        for model in models.values():
            if model.parent:
                ordered.setdefault(model.parent, models[model.parent])  # a class stands after its parent
            ordered.setdefault(model.name, model)
        return [*ordered.values()]

    def _collect(self, name: str, names: dict[str, None]) -> None:
        for item in self._properties(name):
            inner: Type | None = item.type
            while inner is not None:
                if inner.model and inner.model not in names:
                    self._collect(inner.model, names)
                inner = inner.of
        names.setdefault(name)

    def _model(self, name: str, others: list[str]) -> Model:
        own = self._properties(name)
        parents = [other for other in others if _extends(own, self._properties(other))]
        parent = max(parents, key=lambda other: len(self._properties(other)), default=None)
        inherited = _shapes(self._properties(parent)) if parent else set()
        description = _without_properties(self.document["components"]["schemas"][name])
        return Model(name, description, tuple(item for item in own if item.shape not in inherited), parent)

    def _owner(self, name: str, methods: Mapping[str, list[Method]], parents: Mapping[str, str | None]) -> str:
        for resource in sorted(methods):
            needed: dict[str, None] = {}
            for method in methods[resource]:
                self._collect(method.answer, needed)
            if name in needed or name in {parents[each] for each in needed}:
                return resource or "connections"
        raise LookupError(name)

    def _properties(self, name: str) -> tuple[Property, ...]:
        if name not in self.properties:
            self.properties[name] = self._properties_of(self.document["components"]["schemas"][name])
        return self.properties[name]

    def _properties_of(self, schema: Schema) -> tuple[Property, ...]:
        required = {*schema.get("required", ())}
        texts = _property_texts(_description(schema))
        return tuple(
            Property(
                name,
                self.type_of(described),
                name in required,
                _description(described) or texts.get(name, ""),
                _default(described),
            )
            for name, described in schema.get("properties", {}).items()
            if not described.get("readOnly")  # a body of PUT accepts the values of GET that no request can change
        )

    def _resolved(self, schema: Schema) -> Schema:
        resolved: Schema = self.document["components"]["schemas"][_reference(schema)] if "$ref" in schema else schema
        return resolved

    def type_of(self, schema: Schema) -> Type:
        """Return the type of a schema."""
        if alternatives := schema.get("anyOf") or schema.get("oneOf"):
            types = [self.type_of(inner) for inner in alternatives if inner.get("type") != "null"]
            nullable = len(types) < len(alternatives)
            inner = next((each for each in types if each.kind == "list"), types[0])  # one value, or several
            return Type(inner.kind, nullable, inner.of, inner.choices, inner.model)
        if "$ref" in schema:
            return Type("model", model=_reference(schema))
        choices = tuple(schema.get("enum", ())) or ((schema["const"],) if "const" in schema else ())
        if choices and len(choices) <= MOST_CHOICES:
            return Type("choice", choices=choices)
        match schema.get("type"):
            case "array":
                return Type("list", of=self.type_of(schema["items"]))
            case "object":
                values = schema.get("additionalProperties")
                return Type("map", of=self.type_of(values) if isinstance(values, Mapping) else Type("any"))
            case "string":
                formats: dict[str, Kind] = {"date-time": "time", "date": "date"}
                return Type(formats.get(schema.get("format", ""), "string"))
            case "integer" | "number" | "boolean" as kind:
                return Type(kind)
        return Type("any")


def described(document: Schema) -> tuple[Resource, ...]:
    """Return the resources of an OpenAPI document."""
    return _Reader(document).resources()


def _default(schema: Schema) -> str | int | bool | tuple[str, ...] | None:
    """Return the default of a schema, if the clients can express it."""
    default = schema.get("default")
    if isinstance(default, list):
        return tuple(default)
    return default if isinstance(default, str | int | bool) else None


def _reference(schema: Schema) -> str:
    name: str = schema["$ref"].rpartition("/")[2]
    return name


def _failures(operation: Schema) -> Iterator[Failure]:
    for status, response in operation["responses"].items():
        if status.isdigit() and int(status) >= 400 and int(status) not in _GENERAL:
            codes = re.findall(r"`(\w+)`:", response.get("description", ""))
            yield Failure(int(status), tuple(codes))


def _extends(properties: tuple[Property, ...], other: tuple[Property, ...]) -> bool:
    """Return True if an object has all properties of another object and more. Small objects only look alike."""
    return len(other) >= 6 and _shapes(other) < _shapes(properties)


def _shapes(properties: Iterable[Property]) -> set[tuple[str, Type, bool]]:
    return {item.shape for item in properties}


def _description(schema: Schema) -> str:
    return str(schema.get("description", "")).strip()


def _property_texts(description: str) -> dict[str, str]:
    """Return the texts of a list of properties in a description."""
    return {name: " ".join(text.split()) for name, text in _PROPERTY.findall(description)}


def _facts(body: Schema) -> str:
    """Return the description of a body, or an empty string if one sentence only names the content of the body."""
    description = _without_properties(body)
    return description if ". " in description or "\n\n" in description else ""


def _without_properties(schema: Schema) -> str:
    """Return a description without its list of properties, because the properties have these texts."""
    properties = schema.get("properties", {})
    return _PROPERTY.sub(lambda item: "" if item[1] in properties else item[0], _description(schema)).strip()
