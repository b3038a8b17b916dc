"""Read the body of a provider's response for an agent, in the event loop or in a process.

The time grows with the body, which the provider, or the end user, chooses. So One Runtime reads a large body in a
process of a pool (promise P17 of docs/security.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from one_runtime.agents.response_bodies import indented, shortened, whole
from one_runtime.computing.functions import Computation, FunctionPool
from one_runtime.computing.pool import NoProcess
from one_runtime.computing.process import ProcessEnded
from one_runtime.egress.body import decompress
from one_runtime.egress.errors import UpstreamTooLarge

_SMALL: Final = 16 * 1024
"""Size up to which the event loop reads a body, in bytes. This takes at most a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to read a body. `arguments`: further arguments of the function, besides those of `ReceivedBody`."""

    function: Computation
    arguments: Mapping[str, Any]

    @classmethod
    def whole(cls) -> "Reading":
        """Read the body for a program. Binary data becomes a description in JSON."""
        return cls(whole, {})

    @classmethod
    def shortened(cls, fields: Sequence[str], max_bytes: int, offset: int = 0) -> "Reading":
        """Read the body as JSON for a language model (see `shaping.shape`)."""
        return cls(shortened, {"fields": list(fields), "max_bytes": max_bytes, "offset": offset})

    @classmethod
    def indented(cls, most: int) -> "Reading":
        """Read the body for a person, with at most `most` characters."""
        return cls(indented, {"most": most})


@dataclass(frozen=True, slots=True)
class ReceivedBody:
    """The body of a response as the provider sent it. `encoding`: the content encoding, or an empty text."""

    data: bytes = field(repr=False)
    encoding: str
    content_type: str
    secrets: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadBody:
    """A body that was read. `truncated`, `offset`: see `shaping.Shaped`."""

    data: bytes = field(repr=False)
    truncated: str | None = None
    offset: int | None = None


async def read_response(pool: FunctionPool, owner: str, received: ReceivedBody, reading: Reading) -> ReadBody:
    """Return the body. `owner`: the organization. Raises: UpstreamTooLarge."""
    arguments = {
        "encoding": received.encoding,
        "content_type": received.content_type,
        "secrets": list(received.secrets),
        **reading.arguments,
    }
    if _is_small(received):
        facts, data = reading.function(received.data, **arguments)
    else:
        try:
            facts, data = await pool.call(owner, reading.function, received.data, arguments)
        except NoProcess:
            raise UpstreamTooLarge(
                "The provider has answered, but the server reads many other large responses at the moment. Request "
                "less data, for example a smaller page, or try again in a few seconds."
            ) from None
        except ProcessEnded:
            raise UpstreamTooLarge(
                "The response is too complex. Request less data, for example a smaller page."
            ) from None
    if facts.get("is_refused"):
        raise UpstreamTooLarge("The decompressed response is too large, or its content encoding is not supported.")
    return ReadBody(data, facts.get("truncated"), facts.get("offset"))


def _is_small(received: ReceivedBody) -> bool:
    """Return True if the body is small, also without its content encoding."""
    return len(received.data) <= _SMALL and decompress(received.data, received.encoding, _SMALL) is not None
