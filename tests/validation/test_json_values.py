"""The number of values in JSON of a caller is limited, in each place that reads it."""

import json
import random

import pytest

from one_runtime.errors import TooLarge
from one_runtime.validation.json_values import MAX_VALUES, MAX_WITHOUT_TEXTS, has_more_values, require_few_values
from tests.application import JSON, Client

pytestmark = pytest.mark.promise("P17")

SEVERAL = "at most 10,000 values"


def is_refused(body: bytes) -> bool:
    try:
        require_few_values(body)
    except TooLarge:
        return True
    return False


@pytest.mark.parametrize("value", ["0", '""', '"a,[{"', r'"\"\\"', '"\\\\"', '"\N{BULLET}"', "null", " 1.5 "])
def test_the_limit_counts_values_outside_texts(value: str) -> None:
    fitting = f"[{','.join([value] * MAX_VALUES)}]".encode()
    larger = f"[{','.join([value] * (MAX_VALUES + 1))}]".encode()
    assert len(json.loads(larger)) == MAX_VALUES + 1
    require_few_values(fitting)
    with pytest.raises(TooLarge, match=SEVERAL):
        require_few_values(larger)


def test_the_limit_counts_members_of_objects() -> None:
    require_few_values(json.dumps({f"name {number},": "[" for number in range(MAX_VALUES)}).encode())
    with pytest.raises(TooLarge, match=SEVERAL):
        require_few_values(json.dumps({f"name {number},": "[" for number in range(MAX_VALUES + 1)}).encode())


@pytest.mark.parametrize("part", ["[", '{"":', "[],", "{},", '"', '"\\', ",", '"",', "[0],"])
def test_broken_bodies_hide_no_values(part: str) -> None:
    """A parser reads the values before the fault."""
    values = b"[" + b"0," * MAX_VALUES
    with pytest.raises(TooLarge, match=SEVERAL):
        require_few_values(values + part.encode() * 100_000)


def test_a_long_text_is_one_value() -> None:
    for text in (',[{"\\' * 100_000, "\N{BULLET}" * 300_000, " " * 1_000_000, '"' * 500_000):
        require_few_values(json.dumps({"text": text}).encode())
        require_few_values(json.dumps({"text": text}, ensure_ascii=False).encode())


def test_long_numbers_are_limited_and_spaces_are_not() -> None:
    numbers = b"[" + b",".join([b"1" * 4_000] * 100) + b"]"
    assert len(numbers) > MAX_WITHOUT_TEXTS
    with pytest.raises(TooLarge, match="at most 256 kB without its texts"):
        require_few_values(numbers)
    require_few_values(json.dumps(list(range(9_000)), indent=100).encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_no_encoding_hides_values(encoding: str) -> None:
    """`json.loads` also reads UTF-16 and UTF-32. There, the bytes of other characters can look like a quote."""
    body = ('["\u2230",' + "0," * (2 * MAX_VALUES) + "0]").encode(encoding)
    assert len(json.loads(body)) > MAX_VALUES
    with pytest.raises(TooLarge, match=SEVERAL):
        require_few_values(body)


def test_random_bodies_are_counted_as_the_parser_does() -> None:
    """A refused body has more than half of the allowed values, and an accepted one has no more than allowed."""
    chance = random.Random(29)
    for _ in range(100):
        size = chance.randint(MAX_VALUES // 3, 2 * MAX_VALUES)
        value = [random_value(chance, 3) for _ in range(size // 4)]
        body = json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 1])).encode()
        counted = count(value)
        if is_refused(body):
            assert counted > MAX_VALUES / 2
        else:
            assert counted <= MAX_VALUES + 1


def test_values_are_counted_up_to_any_number() -> None:
    body = json.dumps(["a,b", {"c": [1.5, None]}, ","] * 50).encode()
    separators = 50 * 6
    assert has_more_values(body, separators - 1)
    assert not has_more_values(body, separators)


async def test_api_refuses_a_body_with_too_many_values(client: Client) -> None:
    body = b"[" + b"0," * MAX_VALUES + b"0]"
    answer = await client.http.post("http://127.0.0.1:8000/v1/connections", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def random_value(chance: random.Random, depth: int) -> object:
    kind = chance.random()
    if depth and kind < 0.2:
        return [random_value(chance, depth - 1) for _ in range(chance.randint(0, 6))]
    if depth and kind < 0.4:
        return {text(chance): random_value(chance, depth - 1) for _ in range(chance.randint(0, 6))}
    return text(chance) if kind < 0.7 else chance.choice([0, -1.5e300, True, None, 10**20])


def text(chance: random.Random) -> str:
    return "".join(chance.choices(',[]{}:"\\\n a\N{BULLET}\u2c2c\u5b5b', k=chance.randint(0, 8)))


def count(value: object) -> int:
    """Return the number of values in a value, with itself."""
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    return 1 + sum(map(count, value.values())) if isinstance(value, dict) else 1
