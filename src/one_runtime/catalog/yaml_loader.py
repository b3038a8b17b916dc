"""Load YAML in a time that grows only linearly with the number of values.

PyYAML needs quadratic time for two kinds of values. The first kind is a long number of base 60, such as `1:59:59` in
YAML 1.1. The second kind is a mapping with integer keys of the same hash.
"""

import re
from typing import Final

import yaml

MAX_DIGITS: Final = 300
_TAG: Final = "tag:yaml.org,2002:"
MERGE: Final = _TAG + "merge"
_TEXT, _INTEGER, _FLOAT = _TAG + "str", _TAG + "int", _TAG + "float"
# YAML 1.2.2, section 10.3.2 (core schema)
_INTEGER_FORM: Final = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
# The forms of PyYAML, without base 60
_FLOAT_FORM: Final = re.compile(
    r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN))\Z"
)
_BASES: Final = {"0o": 8, "0x": 16}


class InvalidNumber(ValueError):
    """A number in the document is not valid. The message says why."""


class EntryLoader(yaml.CSafeLoader):
    """Load one document. Integers are as in YAML 1.2, and the keys of mappings are always texts, as in JSON."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in resolvers if tag not in {_INTEGER, _FLOAT}]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Insert merged mappings (`<<`), and make every key a text."""
        super().flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = _TEXT


def _construct_integer(loader: EntryLoader, node: yaml.ScalarNode) -> int:
    """Raises: InvalidNumber."""
    digits = _number(loader, node)
    if not _INTEGER_FORM.match(digits):
        raise InvalidNumber(f"{digits!r} must be an integer")
    return int(digits, _BASES.get(digits[:2], 10))


def _construct_float(loader: EntryLoader, node: yaml.ScalarNode) -> float:
    """Raises: InvalidNumber."""
    digits = _number(loader, node)
    if not _FLOAT_FORM.match(digits) and not _INTEGER_FORM.match(digits):
        raise InvalidNumber(f"{digits!r} must be a number")
    return float(loader.construct_yaml_float(node))


def _number(loader: EntryLoader, node: yaml.ScalarNode) -> str:
    digits = str(loader.construct_scalar(node))
    if len(digits) > MAX_DIGITS:
        raise InvalidNumber(f"a number must have at most {MAX_DIGITS} characters")
    return digits


EntryLoader.add_implicit_resolver(_INTEGER, _INTEGER_FORM, list("-+0123456789"))
EntryLoader.add_implicit_resolver(_FLOAT, _FLOAT_FORM, list("-+.0123456789"))
EntryLoader.add_constructor(_INTEGER, _construct_integer)
EntryLoader.add_constructor(_FLOAT, _construct_float)


class EntryDumper(yaml.CSafeDumper):
    """Write YAML that `EntryLoader` reads as the same values. Texts such as `0o17` and `089` get quotes."""

    yaml_implicit_resolvers = EntryLoader.yaml_implicit_resolvers
