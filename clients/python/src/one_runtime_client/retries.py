"""Decide whether the client repeats a call, and how long the client waits before."""

import logging
import random
from typing import Final

import httpx2

from one_runtime_client.calls import Call
from one_runtime_client.responses import error_code, retry_after

MAX_RETRIES: Final = 6
"""The waits before six retries last 23.5 seconds or longer. A restart of One Runtime is shorter."""
MAX_WAIT: Final = 30.0
"""Maximum seconds of all waits of a call, without the random parts."""
_FIRST_WAIT: Final = 0.5
_LONGEST_BACKOFF: Final = 8.0
_RANDOM_PART: Final = 0.25
"""Part of a wait by which the client can lengthen the wait."""
_TEMPORARY: Final = frozenset({429, 503})
_BUSY: Final = "database_busy"
"""One Runtime stored nothing before a 503 with this code. Before another 503, One Runtime can have stored data."""
_IN_USE: Final = "idempotency_key_in_use"
"""An earlier attempt with the same `Idempotency-Key` still runs, so a later attempt receives its response."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

log = logging.getLogger("one_runtime_client")


class Retries:
    """The retries of one call. `maximum`: the number of retries. 0: the client sends the call once."""

    def __init__(self, call: Call, maximum: int) -> None:
        self._call, self._maximum = call, maximum
        self._retries, self._waited = 0, 0.0

    def after_response(self, response: httpx2.Response) -> float | None:
        """Return the seconds to wait before the next attempt, or None if the client does not repeat the call.

        The client repeats a call only after an error of One Runtime. The error page of a load balancer does not say
        whether One Runtime carried out the request.
        """
        code, status = error_code(response), response.status_code
        temporary = code == _IN_USE or status in _TEMPORARY
        harmless = self._call.idempotent or status != 503 or code == _BUSY
        if code is None or not temporary or not harmless:
            return None
        return self._wait(f"{status} {code}", retry_after(response))

    def after_failure(self, error: httpx2.RequestError) -> float | None:
        """Return the seconds to wait before the next attempt, or None if the client does not repeat the call.

        If the connection failed before the client sent the request, the client repeats every call. If One Runtime can
        have received the request, the client repeats a call without further effects. After a timeout, the caller has
        already waited long enough.
        """
        sent = not isinstance(error, _NOT_SENT)
        lost = isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError)
        if sent and not (lost and _harmless(self._call)):
            return None
        return self._wait(type(error).__name__, None)

    def _wait(self, reason: str, retry_after: float | None) -> float | None:
        wait = min(_FIRST_WAIT * 2**self._retries, _LONGEST_BACKOFF) if retry_after is None else retry_after
        self._retries, self._waited = self._retries + 1, self._waited + wait
        if self._retries > self._maximum or self._waited > MAX_WAIT or not self._call.replayable:
            return None
        # The random part separates clients that failed at the same moment.
        wait *= 1 + random.uniform(0, _RANDOM_PART)
        log.info("%s: %s. Retry %d of %d in %.1f s.", self._call.route, reason, self._retries, self._maximum, wait)
        return wait


def _harmless(call: Call) -> bool:
    """Return True if a second request cannot have a further effect, although One Runtime carried out the first one.

    A provider does not always treat PUT and DELETE as idempotent. So the caller decides for these calls.
    """
    if call.relayed:
        return call.method.upper() in _SAFE or (call.repeatable and call.idempotent)
    return call.idempotent
