"""Keep a file beside a SQLite database that reserves disk space for new tokens.

During a refresh, a provider can replace the refresh token. On a full disk, One Runtime could not store the new refresh
token, and would lose the connection. So `sqlite.py` deletes the file when the disk is full. The new tokens then use the
space of the file.
"""

import errno
import os
from pathlib import Path
from typing import Final

SIZE: Final = 8 * 1024 * 1024
"""Size of the file in bytes. SQLite writes less than 64 kB for the new tokens of one connection."""


class DiskReserve:
    """The file that reserves disk space. `is_held`: True if the file exists."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self._path, self._size = path, size
        self.is_held = False

    def hold(self) -> None:
        """Create the file with its full size. Raises: OSError if the disk has too little space."""
        if self.is_held:
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _allocate(descriptor, self._size)
        except OSError:
            self.release()
            raise
        finally:
            os.close(descriptor)
        self.is_held = True

    def release(self) -> None:
        """Delete the file, so that its space becomes free."""
        self.is_held = False
        self._path.unlink(missing_ok=True)


def _allocate(descriptor: int, size: int) -> None:
    allocate = getattr(os, "posix_fallocate", None)  # macOS lacks this function
    if allocate is not None:
        try:
            allocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:  # the file system cannot reserve space
                raise
        else:
            return
    rest = memoryview(bytes(size))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
