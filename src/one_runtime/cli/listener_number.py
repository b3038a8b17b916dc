"""Number the commands `one-runtime webhooks listen` that run at the same time on a machine, with the same arguments.

Each of these commands needs a webhook endpoint of its own, because each of them receives all events. A command that was
killed must find its endpoint again. So a command has the lowest number that no running command has. A lock on a file
shows that a command runs, and the operating system removes the lock when the command ends, also after a kill.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from one_runtime.errors import ConfigurationError

_MOST: Final = 20
"""Maximum number of such commands at the same time."""


@contextmanager
def reserved_number(*arguments: str) -> Iterator[int]:
    """Yield the number of this command, from 1 on, and keep the number until the block ends.

    `arguments`: texts that identify the work of the command, such as the URL of the server. Raises: ConfigurationError.
    """
    digest = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:32]
    for number in range(1, _MOST + 1):
        try:
            lock = _lock(Path(tempfile.gettempdir()) / f"one-runtime-listen-{os.getuid()}-{digest}-{number}")
        except OSError:  # another command has the lock
            continue
        try:
            yield number
        finally:
            os.close(lock)
        return
    raise ConfigurationError(f"At most {_MOST} of these commands can run at the same time. End a command first.")


def _lock(path: Path) -> int:
    """Lock a file, and return its descriptor. The file stays: a deletion could leave two commands with one number."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
