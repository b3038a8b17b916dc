"""Find out if a provider's response to a proxy call can mean that the provider refused the credential.

The status often shows a refusal. Some providers report a refusal only in the body, for example with the status 200. The
integration's check lists such bodies. So this module reads the start of the body, while the caller receives the body.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.response import has_refusal_code, may_refuse_credential
from one_runtime.egress.body import decompress
from one_runtime.egress.response import StreamedResponse

MAX_BODY: Final = 4096
"""Maximum size in bytes of an inspected body, before and after decompression. Error messages are small."""


def watch(auth: AuthBase | None, response: StreamedResponse, report: Callable[[], None]) -> AsyncIterator[bytes]:
    """Return the body of the response. Call `report` if the response can mean a refused credential."""
    check = auth.check if auth is not None else None
    if may_refuse_credential(check, response.status):
        report()
        return response.body
    if check is None or not check.refused.json_body:
        return response.body
    encoding = b",".join(value for name, value in response.headers if name.lower() == b"content-encoding")

    def is_refusal(body: bytes) -> bool:
        plain = decompress(body, encoding.decode("latin-1").strip().lower(), MAX_BODY)
        return plain is not None and has_refusal_code(check.refused, plain)

    return _inspect(response.body, is_refusal, report)


async def _inspect(
    body: AsyncIterator[bytes], is_refusal: Callable[[bytes], bool], report: Callable[[], None]
) -> AsyncIterator[bytes]:
    start = bytearray()
    async for piece in body:
        start += piece[: MAX_BODY + 1 - len(start)]
        yield piece
    if 0 < len(start) <= MAX_BODY and is_refusal(bytes(start)):
        report()
