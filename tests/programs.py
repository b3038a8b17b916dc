"""Programs of Debian packages that the tests run: installed, or unpacked by scripts/bootstrap.py."""

import os
import shutil
from pathlib import Path
from typing import Final

_CACHE: Final = Path(__file__).resolve().parent.parent / ".cache"


def program(name: str) -> str:
    """Return the path of a program."""
    unpacked = _CACHE / name / "usr"
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin:{unpacked / 'bin'}:{unpacked / 'sbin'}")
    assert path is not None, f"There is no {name}. Run: make set-up-test"
    return path


def environment(name: str) -> dict[str, str]:
    """Return the environment variables with which an unpacked program finds its libraries and its unit files."""
    library = _CACHE / name / "usr" / "lib"
    if not library.is_dir():
        return {}
    folders = [*library.glob("*-linux-gnu"), *library.glob("*-linux-gnu/systemd")]
    return {"LD_LIBRARY_PATH": ":".join(map(str, folders)), "SYSTEMD_UNIT_PATH": str(library / "systemd" / "system")}
