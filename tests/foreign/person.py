"""The two people who have an account at every foreign server. Each server creates them when it starts."""

import json
from dataclasses import asdict, dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Person:
    """An account. Its log-in name is part of the label that every server shows."""

    name: str
    email: str
    password: str


ALICE: Final = Person("alice", "alice@example.com", "alice-has-a-password")
BOB: Final = Person("bob", "bob@example.com", "bob-has-another")
PEOPLE: Final = (ALICE, BOB)


def people_as_json() -> str:
    """Return both people in the format of the servers' command lines."""
    return json.dumps([asdict(person) for person in PEOPLE])
