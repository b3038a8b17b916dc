"""Arguments of the tools: errors that a language model can correct."""

import pytest

from one_runtime.errors import InvalidInput
from one_runtime.mcp.arguments import SearchArguments, parse


def test_an_answer_names_few_of_many_wrong_arguments() -> None:
    with pytest.raises(InvalidInput, match="The arguments of this tool are: query, integration, limit") as refused:
        parse(SearchArguments, {"query": "list contacts"} | {f"name_{number}": 1 for number in range(9_000)})
    assert len(refused.value.errors) == 20
    assert len(refused.value.detail) < 2_000
