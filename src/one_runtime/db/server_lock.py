"""Hold the lock that a server on SQLite holds while the server runs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from one_runtime.db.database_url import lock_path
from one_runtime.errors import ConfigurationError


@contextmanager
def hold_server_lock(path: str, refusal: str) -> Iterator[None]:
    """Hold the lock of a SQLite file while the block runs.

    All paths of the file, such as symbolic links, have the same lock. `refusal`: the error message if a server runs.

    Raises: ConfigurationError if another process holds the lock.
    """
    lock_file = lock_path(path, "serving")
    with lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(refusal) from error
        yield
