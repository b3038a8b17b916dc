"""Parse a Dockerfile and run its steps in a folder, without a container engine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

_ABSOLUTE: Final = re.compile(r"(?<![\w.:])(/(?:build|opt|var)\b)")
"""Absolute paths that the Dockerfile creates. `Scratch` moves them below its folder."""


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a Dockerfile."""

    word: str
    rest: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: a FROM and its steps."""

    base: str
    name: str | None
    steps: tuple[Step, ...]

    def words(self, word: str) -> list[str]:
        """Return the arguments of each instruction with this name."""
        return [step.rest for step in self.steps if step.word == word]


def stages(text: str) -> list[Stage]:
    """Return the stages in order, without comments and with joined lines."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    parsed: list[tuple[str, str | None, list[Step]]] = []
    for line in joined.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            parsed.append((base, name or None, []))
        else:
            parsed[-1][2].append(Step(word, rest))
    return [Stage(base, name, tuple(steps)) for base, name, steps in parsed]


@dataclass
class Scratch:
    """A folder in place of the image's file system, with a build context."""

    root: Path
    context: Path
    environ: dict[str, str]
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.root

    def here(self, text: str) -> str:
        """Return the text with the image's paths below this folder."""
        return _ABSOLUTE.sub(lambda match: f"{self.root}{match[1]}", text)

    def carry_out(self, stage: Stage, *, leave_out: Sequence[str]) -> list[str]:
        """Run every step in order. Return the RUN steps that were omitted because they create system users."""
        left_out = []
        for step in stage.steps:
            if step.word == "ENV":
                self._set(step.rest)
            elif step.word == "ARG":
                name, _, default = step.rest.partition("=")
                self.environ.setdefault(name, default)
            elif step.word == "WORKDIR":
                self.folder = Path(self.here(step.rest))
                self.folder.mkdir(parents=True, exist_ok=True)
            elif step.word == "COPY":
                self._copy(shlex.split(step.rest))
            elif step.word == "RUN" and any(word in step.rest for word in leave_out):
                left_out.append(step.rest)
            elif step.word == "RUN":
                self.run(["sh", "-euc", self.here(step.rest)], check=True)
        return left_out

    def run(self, command: Sequence[str], *, check: bool = False) -> "subprocess.CompletedProcess[str]":
        """Run a command with the current environment and folder."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=280
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr[-3000:]}"
        return done

    def _set(self, rest: str) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self.environ[name] = self.here(value).replace(f"${name}", self.environ.get(name, ""))

    def _copy(self, words: list[str]) -> None:
        if words[0].startswith("--from="):
            assert self.here(words[1]) == self.here(words[2]), "the stages share this folder"
            return
        *sources, target = words
        for source in sources:
            here, to = self.context / source, self.folder / target
            for path in sent(self.context, source):
                place = to / path.relative_to(here if here.is_dir() else here.parent)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, place)


def sent(context: Path, under: str = ".") -> list[Path]:
    """Return the files below a path of the context that `.dockerignore` does not exclude."""
    rules = [line.strip() for line in (context / ".dockerignore").read_text().splitlines()]
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert not any(rule.startswith("!**/") for rule in rules), "nothing is sent from an excluded folder"
    start = context / under
    tops = [start] if start.is_file() else start.iterdir()
    tops = [top for top in tops if not _ignored(top.relative_to(context).parts, rules)]
    files = sorted(path for top in tops for path in (top, *top.rglob("*")) if path.is_file())
    return [path for path in files if not _ignored(path.relative_to(context).parts, rules)]


def _ignored(parts: tuple[str, ...], rules: Sequence[str]) -> bool:
    """Return true if the last rule that matches the file or a parent folder excludes it."""
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        anywhere = "**/" in rule
        names = parts if anywhere else parts[:1]
        if any(fnmatch(name, pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored


def healthcheck(stage: Stage) -> list[str]:
    """Return the command of the health check."""
    (rest,) = stage.words("HEALTHCHECK")
    command: list[str] = json.loads(rest.partition("CMD ")[2])
    return command


def builders_environment(folder: Path, outside: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a build: a separate Python for `pip install`, and this machine's package index."""
    tools = folder / "tools"
    uv = Path(sys.executable).with_name("uv")  # some systems have no `python -m venv`
    subprocess.run([uv, "venv", "--quiet", "--no-project", "--seed", tools], check=True, env=dict(outside))
    environ = {name: value for name, value in outside.items() if not name.startswith(("ONE_RUNTIME_", "UV_NO_CACHE"))}
    return environ | {"PATH": f"{tools}/bin:{os.environ['PATH']}"}
