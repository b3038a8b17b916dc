"""Messages between the server and a process of a pool: a JSON object, and optional bytes.

A process can run the program of an agent, so the server does not trust it. The format is JSON and not a pickle, and
`process.py` limits the sizes.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final, TypeAlias

Frame: TypeAlias = tuple[dict[str, Any], bytes]

MAX_HEADER: Final = 8 * 1024 * 1024
"""Size of the largest JSON object, in bytes. All arguments of a program fit."""

SIZES: Final = struct.Struct(">II")
"""First bytes of a message: the size of the JSON object, and the number of bytes after the object."""


class MalformedFrame(Exception):
    """The bytes are not a message, or are too large."""


def encode(header: Mapping[str, Any], blob: bytes = b"") -> bytes:
    """Return the bytes of a message."""
    text = json.dumps(header).encode()
    return SIZES.pack(len(text), len(blob)) + text + blob


def decode(data: bytes) -> Frame:
    """Return the message that `encode` encoded. Raises: MalformedFrame."""
    if len(data) < SIZES.size:
        raise MalformedFrame("The message is too short.")
    header_size, blob_size = SIZES.unpack_from(data)
    end = SIZES.size + header_size
    if len(data) != end + blob_size:
        raise MalformedFrame("The message has the wrong size.")
    return parse(data[SIZES.size : end]), data[end:]


def read(stream: BinaryIO) -> Frame | None:
    """Read the next message in the process. Return None at the end of the stream."""
    sizes = stream.read(SIZES.size)
    if len(sizes) < SIZES.size:
        return None
    header_size, blob_size = SIZES.unpack(sizes)
    return parse(stream.read(header_size)), stream.read(blob_size)


def parse(text: bytes) -> dict[str, Any]:
    """Return the JSON object. Raises: MalformedFrame."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("The message is not JSON.") from error
    if not isinstance(header, dict):
        raise MalformedFrame("The message is not a JSON object.")
    return header
