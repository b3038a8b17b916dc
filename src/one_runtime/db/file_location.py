"""Identify the location of a SQLite file, so that a copy of the file has another location.

The location consists of the inode of the database file and of a random number. The number is in a file beside the
database file (the location file), which a backup does not contain.
"""

import secrets
from pathlib import Path
from typing import Final

from one_runtime.errors import Unavailable

HELD: Final = "held"
"""Value of the column `live_location` of a copy. No database has this location."""

MOVED: Final = "moved"
"""Value of the column `live_location` of a SQLite database that `one-runtime copy` has moved to PostgreSQL."""


def file_location(path: str, *, create: bool) -> str:
    """Return the location of a database file. `create`: True to create the location file if it is missing.

    Raises: Unavailable if the process cannot use the files.
    """
    real = Path(path).resolve()
    marker = Path(f"{real}.location")
    try:
        if create and not marker.exists():
            marker.touch(mode=0o600)
            marker.write_text(secrets.token_hex(16))
        return f"sqlite {marker.read_text() if marker.exists() else 'none'} {real.stat().st_ino}"
    except OSError as error:
        raise Unavailable(f"{marker} cannot be used: {error.strerror}. Check the permissions.") from error
