"""Parse a catalog entry as YAML or JSON, and keep the line of each part for error messages.

The parsers fetch no files or URLs, and execute no code.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Final, Literal, NoReturn, TypeAlias, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from one_runtime.catalog import lint
from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.model import ALIAS, CATEGORIES, CUSTOM_SLUG, DESCRIPTION, SLUG, Integration, check_auth_types
from one_runtime.catalog.operation import ARGUMENT_NAME, OPERATION_NAME
from one_runtime.catalog.parts import (
    HEADER_NAME,
    HEADER_VALUE,
    JSON_PATH,
    NAME,
    PARAM_NAME,
    PATH,
    PRINTABLE,
    Inconsistency,
)
from one_runtime.catalog.yaml_loader import MERGE, EntryLoader, InvalidNumber
from one_runtime.errors import FieldError
from one_runtime.validation.descriptions import Place, describe, dotted, json_cause, one_of

E = TypeVar("E", bound=Integration)
Syntax: TypeAlias = Literal["yaml", "json"]

_AUTH: Final = TypeAdapter[Auth](Auth)
MAX_DEPTH: Final = 64
MAX_COMPLAINTS: Final = 20
_WORDS: Final = {
    "extra_forbidden": "is not a key of this part of the definition",
    "string_type": "must be a text. Put the value in quotes, as in '{api_key}' or '2026-10-01'",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
}
_KEY: Final = re.compile(r"[\w.$\[\]-]+")
"""The name of a key at the start of a message, such as `derived.account.field`."""
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_OPEN_QUOTE: Final = "found unexpected end of stream"
_IN_BRACKETS: Final = frozenset(
    {
        "did not find expected node content",
        "did not find expected ',' or ']'",
        "did not find expected ',' or '}'",
    }
)
"""The parser's errors inside brackets."""
_BRACKETS: Final[Mapping[type[yaml.Token], tuple[str, str, type[yaml.Token]]]] = {
    yaml.FlowSequenceStartToken: ("[", "]", yaml.FlowSequenceEndToken),
    yaml.FlowMappingStartToken: ("{", "}", yaml.FlowMappingEndToken),
}
"""The opening and the closing bracket, and the token of the closing bracket, by the token of the opening bracket."""

_ADVICE: Final = {
    "did not find expected key": (
        "the indentation does not match the lines before, or a text follows a closing quote or bracket"
    ),
    "did not find expected node content": "a value is missing, or a bracket is not closed",
    "did not find expected ',' or ']'": "a comma or the closing bracket ] is missing",
    "did not find expected ',' or '}'": "a comma or the closing brace } is missing",
    _OPEN_QUOTE: "a quote is not closed",
    "did not find expected '-' indicator": "the indentation does not match the lines before",
    "found character that cannot start any token": (
        "a value must not begin with this character; put the value in quotes. Indent with spaces, not with tabs"
    ),
}
_MISPLACED_COLON: Final = "mapping values are not allowed in this context"
_NO_TAGS: Final = "YAML tags of a language, such as !!python/tuple, are not supported; remove the tag"
_NOT_YAML: Final = (
    "this is not valid YAML; check the indentation, the colons and the quotes of this line and the line before"
)
CUSTOM_SLUG_FORM: Final = 'must begin with "x-", followed by lower-case letters, digits and single hyphens between them'
_FORMS: Final = {
    SLUG: "must consist of lower-case letters, digits and single hyphens between them",
    CUSTOM_SLUG: CUSTOM_SLUG_FORM,
    DESCRIPTION: "must be one sentence that begins with a capital letter or a digit and ends in a full stop",
    PATH: 'must begin with "/". Put query parameters under `query`',
    ALIAS: "must have 2 to 40 lower-case letters, digits, spaces and the characters . & + -",
    NAME: "must begin with a lower-case letter, followed by at most 63 lower-case letters, digits and underscores",
    PRINTABLE: "must contain only printable characters, without line breaks",
    HEADER_NAME: "must be the name of an HTTP header, such as X-Api-Key",
    HEADER_VALUE: "must be printable ASCII, without spaces at the start and the end",
    PARAM_NAME: "must have 1 to 64 letters, digits and the characters _ . [ ] -",
    OPERATION_NAME: "must begin with a lower-case letter, followed by 1 to 63 of these: a-z, 0-9 and _",
    ARGUMENT_NAME: "must be a Python identifier of ASCII characters; add the name of the API as `name`",
    JSON_PATH: "must be a path in the JSON response, such as data.id",
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error in an entry.

    `line`: the line number, counted from 1, or None if unknown. `place`: the path to the faulty part, or an empty tuple
    for the whole document.
    """

    line: int | None
    place: Place
    message: str

    @property
    def sentence(self) -> str:
        """Return the line and the error, such as `line 22: check.path must begin with "/".`"""
        line = f"line {self.line}: " if self.line is not None else ""
        return f"{line}{self.statement}"

    @property
    def statement(self) -> str:
        """Return the error without the line, such as `check.path must begin with "/".`"""
        name = self._name
        key, colon, rest = self.message.partition(": ")
        if colon and _KEY.fullmatch(key) and FieldError.is_predicate(rest):
            return FieldError(f"{name}.{key}".removeprefix("."), rest).sentence
        if name or FieldError.is_predicate(self.message):
            return FieldError(name or "The document", self.message).sentence
        return f"{self.message.removesuffix('.')}."

    @property
    def _name(self) -> str:
        """Return the name of the faulty part. A line makes the position in the list `auth` unnecessary."""
        within_auth = self.line is not None and self.place[:1] == ("auth",) and len(self.place) > 2
        return dotted(self.place[2:] if within_auth else self.place)


class SourceError(ValueError):
    """The source (the text of an entry) is not valid. Each complaint describes an error."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("; ".join(complaint.message for complaint in self.complaints))


class UnreadableSource(SourceError):
    """The source is not valid YAML or JSON."""


@dataclass(frozen=True, slots=True)
class EntrySource:
    """A parsed source: plain data, with the line number of each part. `size`: the number of characters of the text."""

    data: object
    _root: yaml.Node | None = field(repr=False, default=None)
    size: int = 0

    @classmethod
    def read(cls, text: str, syntax: Syntax = "yaml") -> "EntrySource":
        """Parse a text. Raises: SourceError; UnreadableSource if the text is not valid in this syntax."""
        return cls(*(_read_json(text) if syntax == "json" else _read_yaml(text)), len(text))

    def integration(self, model: type[E], *, allow_http: bool = False) -> E:
        """Return the validated entry. Raises: SourceError with all errors, in the order of their lines."""
        try:
            return model.model_validate(self.data, context={"allow_http": allow_http})
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)  # four times as fast as errors()
            raise SourceError(sorted(self._complaints(errors), key=lambda complaint: complaint.line or 0)) from error

    def refuse(self, place: Place, message: str) -> NoReturn:
        """Report an error at a place of the source. Raises: SourceError."""
        raise SourceError([self.complaint(place, message)])

    def complaint(self, place: Place, message: str) -> Complaint:
        """Return a complaint with the line of the place."""
        return Complaint(self.line(place), place, message)

    def line(self, place: Place) -> int | None:
        """Return the line of a place, or None if the lines of the source are unknown.

        Skip each step that the source does not have. The result is then the line of an enclosing part.
        """
        node, line = self._root, 1
        if node is None:
            return None
        for step in place:
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            elif isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == step), None)
                if pair is None:
                    continue
                line, node = pair[0].start_mark.line + 1, pair[1]
                continue
            else:
                continue
            line = node.start_mark.line + 1
        return line

    def _complaints(self, errors: Iterable[ErrorDetails]) -> Iterable[Complaint]:
        """Return a complaint for each error, and for each rule that the valid parts of the entry break."""
        located = [(_place_in_source(error["loc"]), message) for error in errors for message in messages_of(error)]
        invalid = {_place_in_source(error["loc"])[:2] for error in errors if not _is_inconsistency(error)}
        data = self.data
        if not isinstance(data, Mapping):
            return [self.complaint(place, message) for place, message in located]
        if not any(place[:1] in {("name",), ("slug",), ("aliases",)} for place in invalid):
            located += lint.check_aliases(data["name"], data["slug"], data.get("aliases", ()))
        if ("auth",) not in invalid:
            located += [((), message) for message in check_auth_types([*map(_auth_type_of, data["auth"])])]
            for index, definition in enumerate(data["auth"]):
                if ("auth", index) not in invalid:
                    auth = _AUTH.validate_python(definition, context={"trusted": True})
                    located += [(("auth", index, *place), message) for place, message in _broken_rules(auth)]
        return [self.complaint(place, message) for place, message in islice(dict.fromkeys(located), MAX_COMPLAINTS)]


def _auth_type_of(definition: object) -> str:
    """Return the auth type of a definition. A definition without an auth type is different from all others."""
    auth_type = definition.get("type") if isinstance(definition, Mapping) else None
    return auth_type if isinstance(auth_type, str) else f"definition {id(definition)}"


def _is_inconsistency(error: ErrorDetails) -> bool:
    """Return True if a part with valid fields breaks rules. Every other error concerns the value of a field."""
    return isinstance(error.get("ctx", {}).get("error"), Inconsistency)


def _broken_rules(auth: AuthBase) -> Iterator[tuple[Place, str]]:
    """Yield the place and the message of each rule that an auth type breaks. The types of all its fields are valid.

    Pydantic does not check the rules of a part that contains an invalid part.
    """
    is_consistent = True
    for place, part in auth.parts():
        with suppress(ValueError):  # a rule of an outer part can require that the rules of an inner part are met
            for message in part.inconsistencies():
                is_consistent = False
                yield place, message
    yield from (((), message) for message in (lint.check_auth(auth) if is_consistent else lint.check_wording(auth)))


def _place_in_source(place: Place) -> Place:
    """Remove the auth type from the location of an error. Pydantic adds the auth type after the index of `auth`."""
    return (*place[:2], *place[3:]) if place[:1] == ("auth",) and len(place) > 2 else place


def _read_yaml(text: str) -> tuple[object, yaml.Node | None]:
    """Raises: SourceError."""
    loader = EntryLoader(text)
    try:
        root = loader.get_single_node()
        _require_sound_structure(root)
        return loader.construct_document(root) if root is not None else None, root
    except yaml.YAMLError as error:
        raise UnreadableSource([_syntax_complaint(error, text)]) from error
    except SourceError:
        raise
    except InvalidNumber as error:
        raise UnreadableSource([Complaint(None, (), f"{error}; put the value in quotes")]) from error
    except (
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
    ) as error:  # such as the date 2026-02-30
        raise UnreadableSource(
            [Complaint(None, (), "YAML cannot convert a value, such as a date or a number; put the value in quotes")]
        ) from error
    finally:
        loader.dispose()


def _read_json(text: str) -> tuple[object, yaml.Node | None]:
    """Parse JSON, and take the line numbers from the YAML parser. Raises: SourceError.

    The YAML parser refuses two forms that JSON allows: tabs between values, and escaped surrogate pairs. So replace
    both forms in the text for the YAML parser.
    """
    try:
        data = json.loads(text, object_pairs_hook=_require_distinct_keys)
    except json.JSONDecodeError as error:
        raise UnreadableSource([Complaint(error.lineno, (), f"this is not valid JSON: {json_cause(error)}")]) from error
    except SourceError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableSource(
            [Complaint(None, (), "a number is too long, or the document is nested too deeply")]
        ) from error
    _require_shallow(data)
    try:
        return data, yaml.compose(_SURROGATE.sub(r"\\u0020", text.replace("\t", " ")), Loader=EntryLoader)
    except (yaml.YAMLError, ValueError):
        return data, None


def _require_distinct_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Raises: SourceError."""
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise SourceError([Complaint(None, (), f"{key[:64]} must appear only once")])
        members[key] = value
    return members


def _require_shallow(data: object) -> None:
    """Raises: SourceError."""
    pending = [(data, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise SourceError([Complaint(None, (), f"must be nested at most {MAX_DEPTH} levels deep")])
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        pending += [(item, depth + 1) for item in inner if isinstance(item, dict | list)]


def _syntax_complaint(error: yaml.YAMLError, text: str) -> Complaint:
    mark = error.problem_mark or error.context_mark if isinstance(error, yaml.MarkedYAMLError) else None
    problem = error.problem or error.context if isinstance(error, yaml.MarkedYAMLError) else None
    if problem == _OPEN_QUOTE and isinstance(error, yaml.MarkedYAMLError):
        mark = error.context_mark or mark  # the place of the opening quote, not the end of the text
    bracket = _unclosed_bracket(text) if problem in _IN_BRACKETS else None
    if bracket is not None:
        return bracket
    if problem == _MISPLACED_COLON and mark is not None:
        return _misplaced_colon(text, mark)
    advice = _NO_TAGS if isinstance(error, yaml.constructor.ConstructorError) else _ADVICE.get(str(problem), _NOT_YAML)
    return Complaint(mark.line + 1 if mark is not None else None, (), advice)


def _misplaced_colon(text: str, mark: yaml.Mark) -> Complaint:
    """Return a complaint about a colon. A line break or quotes can be missing, or the indentation can be wrong."""
    if any(isinstance(token, yaml.ValueToken) and token.start_mark.line == mark.line for token in _scan(text)):
        cause = "follows another colon in the same line. If a line break is missing, write each key on its own line"
    else:
        cause = "is not allowed here. If the line begins with a key, indent the line like the other keys of this part"
    return Complaint(
        mark.line + 1,
        (),
        f"the colon in column {mark.column + 1} {cause}. If the colon belongs to a text, put the whole text in quotes",
    )


def _scan(text: str) -> Iterator[yaml.Token]:
    """Yield the tokens before the first error."""
    with suppress(yaml.YAMLError):
        yield from yaml.scan(text, Loader=EntryLoader)


def _unclosed_bracket(text: str) -> Complaint | None:
    """Return a complaint about the last bracket that the text opens and does not close, or None.

    The parser notices an open bracket only later, often at the end of the text.
    """
    opened = list[yaml.Token]()
    try:
        for token in yaml.scan(text, Loader=EntryLoader):
            if type(token) in _BRACKETS:
                opened.append(token)
            elif opened and type(token) is _BRACKETS[type(opened[-1])][2]:
                opened.pop()
            elif isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken):
                break
    except yaml.YAMLError:
        return None
    if not opened:
        return None
    (opening, closing, _), mark = _BRACKETS[type(opened[-1])], opened[-1].start_mark
    return Complaint(
        mark.line + 1, (), f"the bracket {opening} in column {mark.column + 1} is not closed; add {closing}"
    )


def _require_sound_structure(root: yaml.Node | None) -> None:
    """Refuse duplicate keys, aliases and deep nesting. Raises: SourceError.

    YAML and JSON parsers silently ignore the first of two equal keys. Aliases can expand a short text into a huge
    document.
    """
    seen: set[int] = set()
    pending = [(root, 1)] if root is not None else []
    while pending:
        node, depth = pending.pop()
        line = node.start_mark.line + 1
        if id(node) in seen:
            raise SourceError([Complaint(line, (), "YAML aliases are not supported; repeat the value")])
        if depth > MAX_DEPTH:
            raise SourceError([Complaint(line, (), f"must be nested at most {MAX_DEPTH} levels deep")])
        seen.add(id(node))
        inner = node.value if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            _require_distinct_words(key for key, _ in node.value)
            inner = [value for _, value in node.value]
        pending += [(child, depth + 1) for child in reversed(inner)]


def _require_distinct_words(keys: Iterable[yaml.Node]) -> None:
    """Raises: SourceError."""
    words: set[str] = set()
    for key in keys:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise SourceError([Complaint(line, (), "a key must be a text, not a list or a mapping")])
        word = "<<" if key.tag == MERGE else key.value
        if word in words:
            raise SourceError([Complaint(line, (), f"{word[:64]} must appear only once")])
        words.add(word)


@cache
def _all_keys() -> frozenset[str]:
    """Return the names of all keys of an entry, at all levels."""
    schema = Integration.model_json_schema()
    return frozenset(name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", ()))


def messages_of(error: ErrorDetails) -> tuple[str, ...]:
    """Return the descriptions of a validation error in terms of the entry. A part can break several rules."""
    reason = error.get("ctx", {}).get("error")
    return reason.messages if isinstance(reason, Inconsistency) else (in_our_words(error),)


def in_our_words(error: ErrorDetails) -> str:
    """Return the description of a validation error in terms of the entry. The name of the key is in front."""
    context = error.get("ctx", {})
    if error["type"] == "literal_error" and "..." in str(context["expected"]):  # pydantic shortens a long list
        return one_of(CATEGORIES)
    if error["type"] == "extra_forbidden":
        key, known = str(error["loc"][-1]), _all_keys()
        close = get_close_matches(key, known, n=1) if key not in known else []  # the key of another part is no mistype
        return _WORDS["extra_forbidden"] + (f". Did you mean {close[0]}?" if close else "")
    return _FORMS.get(context.get("pattern", "")) or _WORDS.get(error["type"]) or describe(error)
