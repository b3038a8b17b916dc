"""The number of values in JSON of a caller is limited, in each place that reads it."""

import pytest

from one_runtime.errors import TooLarge
from one_runtime.validation.json_values import MAX_VALUES, require_few_values
from tests.application import JSON, Client

MOST = b"[" + b",".join([b"1"] * MAX_VALUES) + b"]"


def test_separators_are_counted() -> None:
    require_few_values(MOST)
    for body in (MOST.replace(b"1", b"[", 1), MOST.replace(b"1", b"{", 1), b"," + MOST, b'"' + b"," * 10_001 + b'"'):
        with pytest.raises(TooLarge, match="at most 10,000 values"):
            require_few_values(body)


async def test_api_refuses_a_body_with_too_many_values(client: Client) -> None:
    answer = await client.http.post("http://127.0.0.1:8000/v1/connections", content=b"," + MOST, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
