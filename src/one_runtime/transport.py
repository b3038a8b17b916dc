"""The connection as the HTTP server writes to it: an answer's head and body leave in one write to the socket.

uvicorn writes the head when it hears of it, and the body after that. Each write wakes the caller, who can do nothing
with a head alone (docs/decisions/0015-compressed-answers.md).
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol over such a connection; for `uvicorn.run(http=…)`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Called by the event loop."""
        super().connection_made(OneWriteTransport(transport))


class OneWriteTransport(asyncio.Transport):
    """Holds one piece back until the next one comes, or the loop's next turn: at most one, so a stream flows."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport: Final = transport
        self._call_soon: Final = asyncio.get_running_loop().call_soon
        self._held: bytes | bytearray | memoryview | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._held is None:
            self._held = data
            self._call_soon(self._release)
        else:
            held, self._held = self._held, None
            self._transport.writelines((held, data))

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None and not self._transport.is_closing():
            self._transport.write(held)

    def close(self) -> None:
        self._release()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()
