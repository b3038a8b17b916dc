"""Generate the parts of the Python client that follow from the API: models, resources and the list of methods."""

import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts.client_generator.description import ROOT, Method, Model, Property, Resource, Type
from scripts.client_generator.rendering import Templates, with_table, wrapped

PACKAGE: Final = ROOT / "clients" / "python" / "src" / "one_runtime_client"
README: Final = ROOT / "clients" / "python" / "README.md"
FOLDERS: Final = ("models", "resources", "async_resources")
"""Folders that contain only generated files."""
_WIDTH: Final = 120
_ARGUMENT_TYPES: Final = {"credentials": "Mapping[str, str | datetime] | None"}
"""Types of arguments that accept more than the API: a client converts a time."""
_TYPES: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "time": "datetime",
    "date": "date",
    "any": "Any",
}
_TIMEOUT: Final = "Seconds for each wait on the network. Default: the timeout of the client."
_HEADERS: Final = "Further headers of the request."
_KEY: Final = "A unique value for this creation. A second call with the value creates nothing. Default: a random UUID."


def files(resources: tuple[Resource, ...], event_types: Sequence[str]) -> dict[Path, str]:
    """Return the generated files by path."""
    templates = Templates(docstring=_docstring)
    owners = {model.name: resource.name for resource in resources for model in resource.models}
    named = [resource for resource in resources if resource.name]
    variants = (("resources", False), ("async_resources", True))
    summaries = {
        model.name: model.description.partition(". ")[0].partition("\n")[0].rstrip(".") + "."
        for resource in resources
        for model in resource.models
    }
    views = {resource.name: _Resource(resource, summaries) for resource in resources}
    imported = sorted(owners)  # ruff removes the names that a file does not use
    texts = {
        PACKAGE / "models" / "__init__.py": templates.render("python_exports.jinja", resources=named),
        PACKAGE / "models" / "event_types.py": templates.render("python_event_types.jinja", event_types=event_types),
    }
    for resource in named:
        view = views[resource.name]
        if resource.models:
            imports = sorted(_imports(resource.models, owners, resource.name))
            model_text = templates.render("python_models.jinja", resource=view, imports=imports)
            texts[PACKAGE / "models" / f"{resource.name}.py"] = model_text
        for folder, asynchronous in variants:
            texts[PACKAGE / folder / f"{resource.name}.py"] = templates.render(
                "python_resource.jinja", resource=view, asynchronous=asynchronous, imported=imported
            )
    groups = [views[resource.name] for resource in named]
    for folder, asynchronous in variants:
        texts[PACKAGE / folder / "__init__.py"] = (
            f'"""Define the {"asynchronous " * asynchronous}resources of the API."""\n'
        )
        texts[PACKAGE / folder / "proxy.py"] = templates.render("python_proxy.jinja", asynchronous=asynchronous)
        texts[PACKAGE / folder / "api.py"] = templates.render(
            "python_client.jinja",
            resources=groups,
            client=views[""],
            asynchronous=asynchronous,
            imported=imported,
        )
    return _formatted(texts) | {README: with_table(README, _method_rows(resources, summaries))}


class _Resource:
    """A resource with the names that the templates need."""

    def __init__(self, resource: Resource, summaries: Mapping[str, str]) -> None:
        self.name = resource.name
        self.description = resource.description
        self.title = _title(resource.name)
        self.models = [_ModelView(model) for model in resource.models]
        self.methods = [_MethodView(method, summaries) for method in resource.methods]


class _ModelView:
    """A model with the annotations of its fields."""

    def __init__(self, model: Model) -> None:
        self.name, self.parent = model.name, model.parent
        self.docstring = _sections(model.description, Attributes=_texts(model.properties))
        self.fields = [f"{item.name}: {_field(item)}" for item in model.properties]


class _MethodView:
    """A method with its signature and the expressions of its body."""

    def __init__(self, method: Method, summaries: Mapping[str, str]) -> None:
        self.name, self.route, self.pages = method.name, method.route, method.pages
        self.answer, self.member = method.answer, method.member
        self.document, self.creates = method.document, method.creates
        self.path = [item.name for item in method.path_parameters]
        self.has_body = method.body is not None
        self._arguments = sorted([*(method.body or ()), *method.query], key=lambda item: not item.required)
        self.keywords = [_argument(item, method, summaries) for item in self._arguments]
        self.query = {item.name: _query_expression(item, early=method.pages) for item in method.query}
        self.body = {item.name: _body_expression(item) for item in method.body or ()}
        self.result = self._result(method)
        self._method, self._answer = method, summaries.get(method.answer, "")

    @staticmethod
    def _result(method: Method) -> str:
        if method.pages:
            return f"Pages[{method.answer}]"
        return f"tuple[{method.answer}, ...]" if method.member else method.answer

    @property
    def parse(self) -> str:
        """Return the expression of the parser."""
        return f"list_of({self.answer}, under={self.member!r})" if self.member else f"answer({self.answer})"

    @property
    def docstring(self) -> str:
        """Return the docstring with the sections of all arguments, the result and the errors."""
        method = self._method
        arguments = _texts([*method.path_parameters, *self._arguments], defaults=True)
        if method.document:
            arguments.append(("definition", "The definition as a mapping, or as text in YAML or JSON."))
        if method.creates:
            arguments.append(("idempotency_key", _KEY))
        arguments += [("timeout", _TIMEOUT), ("headers", _HEADERS)]
        errors = [(name, f"{', '.join(f'`{code}`' for code in codes)}.") for name, codes in method.errors.items()]
        general = "Every other failure. This class is also the parent of all classes of errors."
        errors.append(("OneRuntimeError", general))
        description = f"{method.description}\n\n{method.note}"
        return _sections(description, Args=arguments, Returns=self._returns(), Raises=errors)

    def _returns(self) -> list[tuple[str, str]]:
        """Return the class of the result with its description."""
        if self.pages:
            return [(self.result.partition("[")[0], f"A loop requests the pages one by one. Each item: {self._answer}")]
        if self.member:
            return [("tuple", f"Each item: {self._answer}")]
        return [(self.answer, self._answer)]


def _argument(item: Property, method: Method, models: Collection[str]) -> str:
    """Return an argument with its annotation and its default. A list in a query can also be one value."""
    annotation = _ARGUMENT_TYPES.get(item.name) or _annotation(item.type, argument=True)
    if item.type.model and item.type.model not in models:
        changed = item.type.model.removesuffix("Update")
        annotation = f"{changed} | Mapping[str, Any]" if changed in models else "Mapping[str, Any]"
    if item in method.query and item.type.kind == "list" and item.type.of is not None:
        items = _annotation(item.type.of, argument=True)
        annotation = f"{items} | Iterable[{items}]"
    if item.required:
        return f"{item.name}: {annotation}"
    if item.default is not None and item in method.query and item.type.kind != "boolean":
        return f"{item.name}: {annotation} = {item.default!r}"
    if method.partial:
        null = " | None" if item.type.nullable else ""
        return f"{item.name}: {annotation.removesuffix(' | None')} | Omitted{null} = OMITTED"
    annotation = annotation if annotation.endswith("| None") else f"{annotation} | None"
    return f"{item.name}: {annotation} = None"


def _query_expression(item: Property, *, early: bool) -> str:
    """Return the expression of a parameter's values. `early`: check the values, because the request follows later."""
    kind = item.type.of if item.type.kind == "list" and item.type.of else item.type
    several = item.type.kind == "list"
    if early and kind.kind == "choice":
        return f"{'choices' if several else 'choice'}({item.name!r}, {item.name}, {kind.choices!r})"
    return f"one_or_more({item.name})" if several else item.name


def _body_expression(item: Property) -> str:
    return f"as_list({item.name})" if item.type.kind == "list" else item.name


def _annotation(kind: Type, *, argument: bool) -> str:
    """Return the annotation of a value. `argument`: the value is an argument, which accepts several classes."""
    if kind.kind == "list" and kind.of is not None:
        items = _annotation(kind.of, argument=argument)
        text = f"Iterable[{items}]" if argument else f"tuple[{items}, ...]"
    elif kind.kind == "map" and kind.of is not None:
        text = f"Mapping[str, {_annotation(kind.of, argument=argument)}]"
    elif kind.kind == "choice":
        text = f"Literal[{', '.join(map(repr, kind.choices))}]"
    else:
        text = kind.model or _TYPES[kind.kind]
    return f"{text} | None" if kind.nullable else text


def _field(item: Property) -> str:
    """Return the annotation of a field, with its default."""
    annotation = _annotation(item.type, argument=False)
    if item.secret:
        return f"{annotation} = field({'' if item.required else 'default=None, '}repr=False)"
    if item.required:
        return annotation
    if item.default is not None:
        return f"{annotation} = {item.default!r}"
    return f"{annotation} = None" if annotation.endswith("| None") else f"{annotation} | None = None"


def _imports(models: Iterable[Model], owners: dict[str, str], own: str) -> set[tuple[str, str]]:
    """Return the classes of other modules that the classes of a module need, as pairs of module and class."""
    names = {model.parent for model in models if model.parent}
    for model in models:
        for item in model.properties:
            inner: Type | None = item.type
            while inner is not None:
                names |= {inner.model} if inner.model else set()
                inner = inner.of
    return {(owners[name], name) for name in names if owners[name] != own}


def _texts(properties: Iterable[Property], *, defaults: bool = False) -> list[tuple[str, str]]:
    """Return the names and descriptions of properties. `defaults`: add the default if the description lacks it."""
    texts = []
    for item in properties:
        states = defaults and item.default not in {None, ()} and "Default: " not in item.description
        texts.append((item.name, f"{item.description} Default: {item.default}." if states else item.description))
    return [(name, text.strip()) for name, text in texts if text]


def _sections(description: str, **sections: list[tuple[str, str]]) -> str:
    """Return the text of a docstring, with a section for each list of named texts."""
    paragraphs = [block for block in _python_words(description).split("\n\n") if block.strip()]
    # The first paragraph leaves space for the quotes.
    blocks = [wrapped(block, _WIDTH - (8 if index else 14)) for index, block in enumerate(paragraphs)]
    for title, texts in sections.items():
        if texts:
            blocks.append("\n".join([f"{title}:", *(_item(name, _python_words(text)) for name, text in texts)]))
    return "\n\n".join(blocks)


def _item(name: str, text: str) -> str:
    text = text[:1].upper() + text[1:]
    return textwrap.fill(f"{name}: {text}", _WIDTH - 8, initial_indent="    ", subsequent_indent="        ")


def _python_words(text: str) -> str:
    """Return a text of the API with the constants of Python."""
    for word, constant in (("null", "None"), ("true", "True"), ("false", "False")):
        text = re.sub(rf"(?<![\w`-])(?:{word}|{word.capitalize()})(?![\w`-])", constant, text)
    return text


def _docstring(text: str, indent: int) -> str:
    """Return a docstring with its quotes. Every line after the first line is indented."""
    lines = textwrap.indent(text, " " * indent).strip()
    return f'"""{lines}"""' if "\n" not in lines else f'"""{lines}\n{" " * indent}"""'


def _title(name: str) -> str:
    """Return the class of a resource: `oauth_clients` is `OAuthClients`."""
    title = "".join(part.capitalize() for part in name.split("_")).replace("Oauth", "OAuth").replace("Api", "API")
    return title if title.endswith("s") or title == "Catalog" else f"{title}s"


def _method_rows(resources: Iterable[Resource], summaries: Mapping[str, str]) -> Iterator[str]:
    """Yield the table of all methods."""
    yield "| method | request | result |\n|---|---|---|"
    for resource in resources:
        for method in resource.methods:
            view = _MethodView(method, summaries)
            name = f"{resource.name}.{method.name}" if resource.name else method.name
            required = [keyword.partition(":")[0] for keyword in view.keywords if "=" not in keyword]
            arguments = ", ".join(
                [*view.path, *(["definition"] if view.document else []), *(f"{each}=…" for each in required)]
            )
            yield f"| `{name}({arguments})` | `{method.route}` | `{view.result}` |"


def _formatted(texts: Mapping[Path, str]) -> dict[Path, str]:
    """Return the files without unused imports, in the format of the repository."""
    with tempfile.TemporaryDirectory() as folder:
        copies = {path: Path(folder) / path.relative_to(PACKAGE) for path in texts}
        for path, copy in copies.items():
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(texts[path], encoding="utf-8")
        for command in (("check", "--fix", "--exit-zero", "--select", "F401,I,RUF022"), ("format",)):
            ruff = [
                sys.executable,
                "-m",
                "ruff",
                *command,
                "--quiet",
                "--no-cache",
                "--config",
                ROOT / "pyproject.toml",
            ]
            subprocess.run([*ruff, folder], check=True, capture_output=True, cwd=ROOT)
        return {path: copy.read_text(encoding="utf-8") for path, copy in copies.items()}
