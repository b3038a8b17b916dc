"""Answers and bodies with secrets do not show them in their `repr`, which tracebacks and debuggers print."""

import pytest
from pydantic import BaseModel

import one_runtime.serving.application  # noqa: F401 - imports all modules of the API
from scripts.client_generator.description import SECRETS

pytestmark = pytest.mark.promise("P1")


def models(parent: type[BaseModel] = BaseModel) -> set[type[BaseModel]]:
    found = {each for each in parent.__subclasses__() if each.__module__.startswith("one_runtime.")}
    return found.union(*(models(each) for each in parent.__subclasses__()))


def test_fields_of_secrets_are_missing_in_the_representation() -> None:
    shown = {
        f"{model.__module__}.{model.__name__}.{name}"
        for model in models()
        if model.__module__.startswith(("one_runtime.api.", "one_runtime.connect."))
        for name, field in model.model_fields.items()
        if name in SECRETS and field.repr and field.annotation in {str, dict[str, str]}
    }
    assert shown == set()
