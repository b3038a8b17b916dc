"""A small file system that a test can fill, and commands of One Runtime that run on this file system.

`python -m tests.operating.small_disk <process id> …` runs `one-runtime …` in the mount namespace of a process.

The file system is mounted in the namespace of a process that waits. So no mount remains if the tests are killed. Root
needs no user namespace. Other users need a kernel that allows user namespaces.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from tests.namespaces import mount_namespace

_MODULE: Final = "tests.operating.small_disk"
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A small disk. `folder`: its path in the namespace. `outside`: its path for other processes.

    Programs that resolve symbolic links cannot use `outside`.
    """

    process_id: int
    folder: Path

    @property
    def outside(self) -> Path:
        return Path(f"/proc/{self.process_id}/root{self.folder}")

    @property
    def module(self) -> tuple[str, ...]:
        """Return the module and the argument that run One Runtime on this disk."""
        return (_MODULE, str(self.process_id))

    def fill(self) -> None:
        """Use all free space of the disk."""
        with (self.outside / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(_PAGE))
        assert os.statvfs(self.outside).f_bavail == 0

    def make_folder(self, name: str) -> Path:
        """Create a folder for PostgreSQL."""
        folder = self.outside / name
        folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")  # as this user, PostgreSQL runs then
        return folder

    def make_space(self) -> None:
        """Delete what `fill` has written."""
        (self.outside / "filler").unlink(missing_ok=True)


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """Mount a small file system until the block ends. Fail the test if the kernel forbids the mount."""
    with TemporaryDirectory(prefix="one-runtime-disk-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL can be another user
        with _mounted(folder, megabytes) as process_id:
            yield SmallDisk(process_id, folder)


@contextmanager
def _mounted(folder: Path, megabytes: int) -> Iterator[int]:
    mount = f"mount -t tmpfs -o size={megabytes}m,mode=0777 tmpfs '{folder}'"
    # PostgreSQL of root runs as this user, and may only use the namespaces of its own processes.
    wait = "setpriv --reuid=nobody --regid=nogroup --clear-groups cat" if os.geteuid() == 0 else "cat"
    script = f"{mount} && echo mounted && exec {wait}"
    with subprocess.Popen(
        [*mount_namespace(), "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            if process.stdout.readline() != "mounted\n":
                reason = process.stderr.read().strip()
                pytest.fail(f"The kernel allows no mount in a namespace. Run the test as root. {reason}")
            yield process.pid
        finally:
            process.stdin.close()  # ends `cat`


def _enter(process_id: int) -> None:
    """Move this process into the namespaces of another process."""
    for kind in () if os.geteuid() == 0 else ("user",):
        _set_namespace(process_id, kind)
    _set_namespace(process_id, "mnt")


def _set_namespace(process_id: int, kind: str) -> None:
    descriptor = os.open(f"/proc/{process_id}/ns/{kind}", os.O_RDONLY)
    folder = Path.cwd()
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(descriptor)
    os.chdir(folder)


def main() -> None:
    """Enter the namespaces of the process that the first argument names. Then run the command."""
    _enter(int(sys.argv.pop(1)))
    from one_runtime import cli  # noqa: PLC0415 - starts no thread before the change of the namespace

    cli.main()


if __name__ == "__main__":
    main()
