"""Policies of agents: the intersection of two policies, and their form in the database."""

from one_runtime.tenancy.agent_policy import UNLIMITED, AgentPolicy


def test_both_policies_apply() -> None:
    narrow = AgentPolicy("read", frozenset({"a", "b"}), frozenset({"x"}), frozenset({"GET"}), 5)
    other = AgentPolicy("ask", frozenset({"b", "c"}), None, frozenset({"GET", "POST"}), 10)
    both = AgentPolicy("read", frozenset({"b"}), frozenset({"x"}), frozenset({"GET"}), 5)
    assert narrow.narrowed(other) == other.narrowed(narrow) == both
    assert narrow.narrowed(UNLIMITED) == UNLIMITED.narrowed(narrow) == narrow
    assert UNLIMITED.narrowed(AgentPolicy("ask")).access == "ask"
    assert (
        AgentPolicy(integrations=frozenset({"a"})).narrowed(AgentPolicy(integrations=frozenset({"b"}))).integrations
        == frozenset()
    )


def test_document_is_read_back() -> None:
    for policy in (UNLIMITED, AgentPolicy("ask", frozenset(), frozenset({"b", "a"}), None, 0)):
        assert AgentPolicy.parse(policy.document) == policy
    assert AgentPolicy(hosts=frozenset({"b", "a"})).document["hosts"] == ["a", "b"]
