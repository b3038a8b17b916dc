"""A JavaScript engine for the tests: Node where it is installed, else the one that Playwright brings along."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import playwright

SCRIPT = "for (const p of JSON.parse(process.argv[1])) new RegExp(`^(?:${p})$`, 'u')"


def compile_all(patterns: Sequence[str]) -> None:
    """Compiles each pattern as the popup does.

    Raises:
        subprocess.CalledProcessError: the engine refuses one.
    """
    node = shutil.which("node") or str(Path(playwright.__file__).parent / "driver" / "node")
    subprocess.run([node, "-e", SCRIPT, json.dumps(list(patterns))], check=True, timeout=30)
