"""Limit what an agent can do for an end user.

An end-user token has a policy, and an organization has a policy for all its agents. Both policies apply: the result is
their intersection (`AgentPolicy.narrowed`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, TypeAlias, get_args

Access: TypeAlias = Literal["read", "ask", "write"]
"""The calls that an agent can make.

`read`: only calls that change nothing. `ask`: also calls that the end user has approved. `write`: all calls.
"""

ACCESSES: Final[tuple[Access, ...]] = get_args(Access)
"""All values of `Access`, the narrowest first."""

MAX_CALLS_PER_RUN: Final = 300
"""Maximum number of calls of one program (`run_python`)."""

READ_METHODS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """The calls that an agent can make. None in a field allows every value.

    `integrations`: slugs. `hosts`: host names of providers. `methods`: HTTP methods in upper case. `calls_per_run`: the
    number of calls that one program can make.
    """

    access: Access = "write"
    integrations: frozenset[str] | None = None
    hosts: frozenset[str] | None = None
    methods: frozenset[str] | None = None
    calls_per_run: int = MAX_CALLS_PER_RUN

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the policy of a document, such as `document`."""
        values: dict[str, Any] = {
            name: frozenset(value) if isinstance(value, list) else value for name, value in document.items()
        }
        return cls(**values)

    @property
    def document(self) -> dict[str, Any]:
        """Return the policy as a JSON document, with sorted lists."""
        return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(self).items()}

    def narrowed(self, other: "AgentPolicy") -> "AgentPolicy":
        """Return the policy that allows only calls that both policies allow."""
        return AgentPolicy(
            min(self.access, other.access, key=ACCESSES.index),
            _both(self.integrations, other.integrations),
            _both(self.hosts, other.hosts),
            _both(self.methods, other.methods),
            min(self.calls_per_run, other.calls_per_run),
        )

    @property
    def can_write(self) -> bool:
        """Return True if the agent can send calls that change something, at least with an approval of the end user."""
        return self.access != "read"

    def allows_integration(self, slug: str) -> bool:
        """Return True if the agent can use the integration."""
        return self.integrations is None or slug in self.integrations

    def allows_method(self, method: str) -> bool:
        """Return True if the agent can send requests with the method. `access` is a separate limit."""
        return self.methods is None or method in self.methods


UNLIMITED: Final = AgentPolicy()
"""The policy that allows everything."""


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other
