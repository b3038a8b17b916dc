"""Made-up events for test messages."""

import re

import pytest

from one_runtime.clock import system_clock
from one_runtime.errors import InvalidInput
from one_runtime.tenancy.event_types import TYPES
from one_runtime.tenancy.events import Actor, details
from one_runtime.webhooks import samples
from tests.documentation import page

ACTOR = Actor("01a21077-a50a-7672-9076-0a05172494e4", "api_key", "01a21077-a4c3-7e5f-9b0a-2d4c6e8f1a35", "203.0.113.7")


def test_made_up_events_have_the_documented_data() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| [^|]+ \| ([^|]+) \|$", page("docs/events.md").text, re.MULTILINE))
    for kind in TYPES:
        event = samples.make_up(kind, ACTOR, system_clock())
        named = set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", rows[kind])))
        assert set(details(event)) <= named, kind
        assert set(details(event)) >= {name for name in named if "_" in name} - _VALUES, kind


_VALUES = {"permission_missing", "provider_trouble", "client_refused", "target_refused", "secret_lost"}


def test_made_up_events_differ_and_an_unknown_type_is_refused() -> None:
    first, second = (samples.make_up("connection.created", ACTOR, system_clock()) for _ in range(2))
    assert first.id != second.id
    assert first.connection_id != second.connection_id
    with pytest.raises(InvalidInput, match=r"connection\.created"):
        samples.make_up("connection.*", ACTOR, system_clock())
