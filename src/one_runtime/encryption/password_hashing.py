"""Hash and verify passwords in threads, so that requests to other parts of the server do not wait.

A hash needs 19 MiB and some 30 milliseconds of CPU time. So each process computes at most two hashes at once, and
refuses a sign-in if too many sign-ins wait.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Final, TypeVar

from one_runtime.encryption import vault
from one_runtime.errors import Unavailable

THREADS: Final = 2
MOST_WAITING: Final = 30
"""Maximum number of waiting sign-ins. The last of them waits for about half a second."""

Result = TypeVar("Result")


class PasswordHashing:
    """The threads that hash passwords."""

    def __init__(self, threads: int = THREADS, most_waiting: int = MOST_WAITING) -> None:
        self._threads = ThreadPoolExecutor(threads, "password")
        self._places = BoundedSemaphore(threads + most_waiting)

    async def hash(self, password: bytes) -> str:
        """Return the Argon2id hash of a password. Raises: Unavailable if too many sign-ins wait."""
        return await self._run(lambda: vault.hash_password(password))

    async def verify(self, password: bytes, phc: str | None) -> bool:
        """Return True if the hash is the hash of the password.

        `phc`: None for an unknown account. The function then does the same work, so that its duration reveals nothing.

        Raises: Unavailable if too many sign-ins wait.
        """
        matches = await self._run(lambda: vault.verify_password(password, phc or vault.NO_PASSWORD_HASH))
        return matches and phc is not None

    async def _run(self, work: Callable[[], Result]) -> Result:
        if not self._places.acquire(blocking=False):
            error = Unavailable("Too many people sign in at this moment. Try again in a few seconds.")
            error.retry_after = 2
            raise error
        submitted = self._threads.submit(work)
        submitted.add_done_callback(self._leave)  # also after the request was cancelled
        return await asyncio.wrap_future(submitted)

    def _leave(self, _: Future[Result]) -> None:
        self._places.release()
