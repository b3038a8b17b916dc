"""Each error code is declared once, with its documentation, which pages show without links."""

import importlib
from collections.abc import Iterator

from one_runtime.errors import OneRuntimeError, error_kinds, explain_error

for entry_point in ("one_runtime.serving.application", "one_runtime.dashboard.application", "one_runtime.cli"):
    importlib.import_module(entry_point)


def classes(kind: type[OneRuntimeError] = OneRuntimeError) -> Iterator[type[OneRuntimeError]]:
    if kind.__module__.startswith("one_runtime."):  # tests define further errors
        yield kind
    for child in kind.__subclasses__():
        yield from classes(child)


def test_each_class_with_a_code_of_its_own_documents_the_code() -> None:
    declaring = [kind for kind in classes() if "code" in vars(kind)]
    assert len({kind.code for kind in declaring}) == len({*declaring}) > 60
    assert [kind for kind in declaring if "documentation" not in vars(kind)] == []
    assert {*declaring} <= {*error_kinds()}


def test_explanations_are_sentences_without_links() -> None:
    for kind in classes():
        for text in kind.explanation:
            assert text[0] in f"`{text[0].upper()}", kind
            assert text.endswith("."), kind
            assert "](" not in text, kind


def test_code_of_a_later_version_has_no_explanation() -> None:
    assert explain_error("no_such_code") is None
    assert explain_error("approval_required") == (
        "The end user has to approve this call of an agent.",
        "The agent gives the link to the end user, and repeats the call after the approval.",
    )
