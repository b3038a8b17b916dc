"""Hold the lock that a server on SQLite holds while the server runs."""

import fcntl
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from one_runtime.db.database_url import lock_path
from one_runtime.errors import ConfigurationError

_LOCKED_BYTE: Final = 1 << 60
"""Position of the byte of the database file that a server locks, far behind the bytes that SQLite locks (at 1 GiB)."""


@contextmanager
def hold_server_lock(path: str, refusal: str) -> Iterator[None]:
    """Hold the lock of a SQLite file while the block runs. The block has to close all connections to the file.

    The lock consists of the file `….serving` and, on Linux, of a byte in the database file itself. The first file has
    the same name for all paths with symbolic links. The byte is also locked after a rename of the database, or without
    the first file. A missing database file is created.

    `refusal`: the error message if a server runs.

    Raises: ConfigurationError if another process holds the lock.
    """
    with ExitStack() as stack:
        lock_file = stack.enter_context(lock_path(path, "serving").open("w"))
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if sys.platform == "linux":  # other systems have no locks that belong to an open file, with a range
                stack.enter_context(_locked(Path(path)))
        except BlockingIOError as error:
            raise ConfigurationError(refusal) from error
        yield


def _locked(path: Path) -> FileIO:
    """Open the database file, and lock `_LOCKED_BYTE`. The lock ends when the file is closed.

    When a process closes a file, it loses the locks of SQLite's connections to this file. So a process that uses
    SQLite opens the file before SQLite does, and closes it afterwards.

    Raises: BlockingIOError if another process holds the lock.
    """
    # SQLite creates the -wal and -shm files with the same mode.
    file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        # struct flock: type, origin of the position, position, length, process
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _LOCKED_BYTE, 1, 0))
    except BlockingIOError:
        file.close()
        raise
    except OSError:  # some sandboxes and file systems have no such locks, and the file `….serving` remains
        return file
    return file
