"""Limits of what agents do at the same time: one agent, and one organization."""

from contextlib import ExitStack

import pytest

from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.concurrency import ConcurrencyLimit
from one_runtime.proxy.concurrency import TooManyCalls
from one_runtime.tenancy.agent_policy import UNLIMITED
from one_runtime.tenancy.events import Actor


def caller(organization: str, token: str, end_user: str = "user") -> AgentCaller:
    return AgentCaller(organization, end_user, Actor(organization, "end_user_token", token), UNLIMITED)


@pytest.mark.promise("P12")
def test_agent_and_organization_have_a_limit() -> None:
    limit = ConcurrencyLimit("programs", 2, 3)
    with ExitStack() as held:
        for token in ("a", "a", "b"):
            held.enter_context(limit.admit(caller("one", token)))
        for token, owner in (("a", "This agent has 2 programs"), ("b", "Your organization has 3 programs")):
            with pytest.raises(TooManyCalls, match=owner), limit.admit(caller("one", token)):
                pass
        with limit.admit(caller("two", "c")):
            pass
    with limit.admit(caller("one", "a")), limit.admit(caller("one", "a")):
        pass


@pytest.mark.promise("P12")
def test_end_users_who_share_an_api_key_have_a_limit_each() -> None:
    limit = ConcurrencyLimit("requests", 1, 3)
    with limit.admit(caller("one", "key", "first")), limit.admit(caller("one", "key", "second")):
        with pytest.raises(TooManyCalls, match="This agent has 1 requests"), limit.admit(caller("one", "key", "first")):
            pass
        with limit.admit(caller("one", "key", "third")):
            pass
