"""Find the commit that this build was made from. hatch_build.py uses this module before the package is installed."""

import re
from pathlib import Path
from typing import Final

COMMIT_FILE: Final = "commit.txt"
"""File of the package that contains the commit. Builds write the file, because an installed package has no `.git`."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")
_DIGITS: Final = 7


def build_version(release: str, package: Path) -> str:
    """Return the release and the commit, such as `0.1.0+g1a2b3c4`. Without a known commit, return the release.

    `package`: folder of the package `one_runtime`. In a clone of the repository, the folder is `src/one_runtime`.
    """
    commit = read_commit(package.parent.parent) if package.parent.name == "src" else None
    commit = commit or _as_commit(_read(package / COMMIT_FILE))
    return f"{release}+g{commit[:_DIGITS]}" if commit else release


def read_commit(root: Path) -> str | None:
    """Return the commit that a clone has checked out, or None. The program `git` is not necessary."""
    git = root / ".git"
    if git.is_file():  # in a worktree, the file names the folder
        git = root / _read(git).removeprefix("gitdir:").strip()
    head = _read(git / "HEAD")
    if not head.startswith("ref:"):
        return _as_commit(head)
    name = head.removeprefix("ref:").strip()
    shared = git / (_read(git / "commondir") or ".")  # the worktrees of a clone share their branches
    return _as_commit(_read(git / name) or _read(shared / name)) or _find_packed(_read(shared / "packed-refs"), name)


def _find_packed(text: str, name: str) -> str | None:
    fields = (line.split(" ") for line in text.splitlines())
    return next((_as_commit(field[0]) for field in fields if field[1:] == [name]), None)


def _as_commit(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None


def _read(path: Path) -> str:
    """Return the text of a file. Return an empty text if the file is missing, or if this user cannot read the file."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
