"""Describe the findings of the type checker, ty, for the author of a program: one line each, with a suggestion.

The process of programs uses this module. The time of a suggestion grows with the number of names and their lengths.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, TypeAlias

from one_runtime.agents.programs.outcome import FailureKind

LIBRARY: Final = (
    "asyncio",
    "base64",
    "collections",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "random",
    "re",
    "time",
    "typing",
)
"""Modules of the standard library that the interpreter has, and that programs need often."""
NAMES: Final = ("call", "connections", "response_of", "Response", "ApiError", "ConnectRequired", "CallRefused")
"""Names of the module `one_runtime`."""
CALL_PARAMETERS: Final = ("integration", "method", "path", "query", "body", "connection")

_HINTS: Final = (
    ("`CoroutineType", ". Write `await` before the call."),
    ("`ApiError`", ". Use `response_of(error).status` and `response_of(error).data`."),
    ("Module `asyncio`", ". The sandbox has only `asyncio.gather`, `asyncio.run` and `asyncio.sleep`."),
)
"""Hints for findings that contain certain words."""
_FINDING: Final = re.compile(r"^main\.py:(\d+):(\d+): \w+\[([\w-]+)\] (.*)$", re.MULTILINE)
_QUOTED: Final = re.compile(r"`([^`]*)`")
_MOST_FINDINGS: Final = 10
_CUTOFF: Final = 0.7
_MOST_NAMES: Final = 1000
_MOST_CHARACTERS: Final = 60
"""Similarity of a suggested name. Numbers of names, and of characters, for which One Runtime looks for one."""

Functions: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""The parameters of the functions, by the names of the module and of the function."""


def describe_types(
    output: str, code: str, functions: Functions, module_names: Collection[str]
) -> tuple[FailureKind, str]:
    """Return the kind of the failure and the message: one line for each finding, in the order of the program.

    `output`: the output of ty. `functions`: those of the imported modules. `module_names`: the names of all modules.
    """
    findings = [(int(line), int(column), rule, text) for line, column, rule, text in _FINDING.findall(output)]
    syntax = [finding for finding in findings if finding[2] == "invalid-syntax"]
    kind: FailureKind = "syntax" if syntax else "types"
    shown = sorted(syntax or findings)[:_MOST_FINDINGS]
    vocabulary = _Vocabulary(code, functions, module_names)
    lines = [f"line {line}, column {column}: {text}{vocabulary.hint(rule, text)}" for line, column, rule, text in shown]
    if (more := len(syntax or findings) - len(shown)) > 0:
        lines.append(f"and {more} more")
    return kind, "\n".join(lines) or output


class _Vocabulary:
    """Names that the author of a program can have meant."""

    def __init__(self, code: str, functions: Functions, module_names: Collection[str]) -> None:
        self.code, self.functions, self.module_names = code, functions, module_names

    def hint(self, rule: str, text: str) -> str:
        """Return a sentence that says what to do, or an empty string. `rule`: the name of ty's rule."""
        for words, hint in _HINTS:
            if words in text:
                return hint
        names = _QUOTED.findall(text)
        if text.startswith("Module"):
            return _did_you_mean(names[-1], self._members(names[0]))
        match rule:
            case "unknown-argument":
                return _did_you_mean(names[0], self._parameters(names[-1]))
            case "unresolved-import":
                return self._import(names[0])
            case "unresolved-reference":
                return _did_you_mean(names[0], self._names(names[0])) or self._missing_import(names[0])
            case "unresolved-attribute":
                return _did_you_mean(names[-1], ("status", "headers", "data"))
        return ""

    def _parameters(self, function: str) -> Iterable[str]:
        if function == "call":
            return CALL_PARAMETERS
        return [name for functions in self.functions.values() for name in functions.get(function, ())]

    def _members(self, module: str) -> Iterable[str]:
        if module == "one_runtime":
            return NAMES
        return self.functions.get(module, ())

    def _import(self, name: str) -> str:
        suggestion = _did_you_mean(name, [*self.module_names, *LIBRARY, "one_runtime"])
        return suggestion or f". A program can import one_runtime, integrations, and {', '.join(LIBRARY)}."

    def _names(self, name: str) -> Iterable[str]:
        return set(re.findall(r"[A-Za-z_]\w*", self.code)) - {name} | set(NAMES)

    def _missing_import(self, name: str) -> str:
        module = name if name in self.module_names or name in LIBRARY else None
        return f". Write `import {module}`." if module else ""


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    name = name.rpartition(".")[2]
    if len(name) > _MOST_CHARACTERS:
        return ""
    # Names with very different lengths cannot be similar (see `SequenceMatcher.real_quick_ratio`).
    possible = {each for each in names if 2 * min(len(each), len(name)) >= _CUTOFF * (len(each) + len(name))}
    matches = get_close_matches(name, sorted(possible)[:_MOST_NAMES], n=1, cutoff=_CUTOFF)
    return f". Did you mean `{matches[0]}`?" if matches and matches[0] != name else ""
