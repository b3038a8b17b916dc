"""Create files that only their owner can read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from one_runtime.errors import Conflict


@contextmanager
def new_private_file(path: Path) -> Iterator[None]:
    """Create an empty file that only its owner can read and write. If the block fails, delete the file.

    Raises: Conflict if the file exists or cannot be created.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise Conflict(
            f"{path} cannot be created: {error.strerror}. Choose a new file in a folder that you can write to."
        ) from error
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
