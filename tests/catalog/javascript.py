"""A JavaScript engine for the tests: Node if it is installed, else the one of Playwright."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import playwright

_PATTERNS = "for (const one of given) new RegExp(`^(?:${one})$`, 'u');"


def evaluate(body: str, given: Sequence[Any] | Mapping[str, Any]) -> Any:
    """Return the result of an async JavaScript function with this body and the parameter `given`.

    Raises:
        subprocess.CalledProcessError: the engine threw an error.
    """
    node = shutil.which("node") or str(Path(playwright.__file__).parent / "driver" / "node")
    script = (
        "let text = ''; for await (const piece of process.stdin) text += piece;"
        f"const told = await (async (given) => {{ {body} }})(JSON.parse(text));"
        "process.stdout.write(JSON.stringify(told ?? null));"
    )
    command = [node, "--input-type=module", "-e", script]
    done = subprocess.run(command, input=json.dumps(given), check=True, timeout=30, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def compile_all(patterns: Sequence[str]) -> None:
    """Compile each pattern as the popup does.

    Raises:
        subprocess.CalledProcessError: the engine refuses a pattern.
    """
    evaluate(_PATTERNS, patterns)
