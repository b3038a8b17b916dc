"""Run functions of this package in a process of a pool. `functions.py` is the other side."""

import sys
from importlib import import_module
from typing import Final

from one_runtime.computing import frames
from one_runtime.computing.isolation import has_grown, limit_this_process

_MAX_DATA: Final = 512 * 1024 * 1024


def serve() -> None:
    """Call functions until the end of standard input. An exception ends the process."""
    limit_this_process(_MAX_DATA)
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # only messages may enter the standard output
    while (frame := frames.read(stdin)) is not None:
        request, data = frame
        module, _, name = request["function"].partition(":")
        facts, result = getattr(import_module(module), name)(data, **request["arguments"])
        stdout.write(frames.encode({"facts": facts, "last": has_grown()}, result))
        stdout.flush()
        del frame, request, data, facts, result
