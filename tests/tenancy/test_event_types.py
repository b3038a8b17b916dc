"""The types of events: each with a label, an explanation and a sample, and the changes of members."""

from typing import get_args

from one_runtime.team.members import OwnChange
from one_runtime.tenancy.event_types import TYPES, EventType, explain_event, explain_type, find_type


def test_each_type_has_a_label_of_its_own_and_an_explanation_of_sentences() -> None:
    assert len({kind.label for kind in EventType}) == len(EventType)
    for kind in EventType:
        assert kind.label[0].isupper(), kind
        assert kind.explanation[0].isupper(), kind
        assert kind.explanation.endswith("."), kind


def test_each_type_is_named_like_its_member_and_stands_with_its_group() -> None:
    assert [kind.name for kind in EventType] == [name.replace(".", "_").upper() for name in TYPES]
    groups = [kind.group for kind in EventType]
    assert groups == sorted(groups, key=groups.index)


def test_explanation_has_no_links() -> None:
    assert "[refuses the address](" in EventType.CONNECTION_REFRESH_FAILED.documentation
    assert "refuses the address of the token endpoint" in EventType.CONNECTION_REFRESH_FAILED.explanation
    assert not [kind for kind in EventType if "](" in kind.explanation]


def test_type_of_a_later_version_is_unknown() -> None:
    assert find_type("connection.deleted") is EventType.CONNECTION_DELETED
    assert find_type("no.such_type") is None
    assert explain_type("no.such_type") == ""
    assert explain_event("no.such_type", "invalid_grant") is None


def test_each_change_of_a_member_has_a_sentence_of_its_own() -> None:
    changes = (*get_args(OwnChange), "role", "sign_in_methods")
    sentences = {explain_type("member.updated", [change]) for change in changes}
    assert len(sentences) == len(changes)
    assert EventType.MEMBER_UPDATED.explanation not in sentences


def test_other_changes_have_the_sentence_of_the_type() -> None:
    for changed in (None, [], ["name", "role"], ["something"]):
        assert explain_type("member.updated", changed) == EventType.MEMBER_UPDATED.explanation
    assert explain_type("organization.updated", ["name"]) == EventType.ORGANIZATION_UPDATED.explanation
