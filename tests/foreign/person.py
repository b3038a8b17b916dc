"""The two people who have an account at every foreign server. Each server is given them when it starts."""

import json
from dataclasses import asdict, dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Person:
    """An account: the name to log in with is also part of the label that every server shows for it."""

    name: str
    email: str
    password: str


ALICE: Final = Person("alice", "alice@example.com", "alice-has-a-password")
BOB: Final = Person("bob", "bob@example.com", "bob-has-another")
PEOPLE: Final = (ALICE, BOB)


def people_as_json() -> str:
    """Both, as the servers' command lines take them."""
    return json.dumps([asdict(person) for person in PEOPLE])
