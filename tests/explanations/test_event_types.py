"""Explanations of event types."""

from typing import get_args

from one_runtime.explanations.event_types import EVENT_TYPES, explain_type
from one_runtime.team.members import OwnChange


def test_each_change_of_a_member_has_a_sentence_of_its_own() -> None:
    changes = (*get_args(OwnChange), "role", "sign_in_methods")
    sentences = {explain_type("member.updated", [change]) for change in changes}
    assert len(sentences) == len(changes)
    assert EVENT_TYPES["member.updated"] not in sentences


def test_other_changes_have_the_sentence_of_the_type() -> None:
    for changed in (None, [], ["name", "role"], ["something"]):
        assert explain_type("member.updated", changed) == EVENT_TYPES["member.updated"]
    assert explain_type("organization.updated", ["name"]) == EVENT_TYPES["organization.updated"]
    assert explain_type("no.such_type") == ""
