"""Read the fields of a posted form.

The time grows with the body, which any browser can send to a public page. So the server reads a large body in a process
of `computing/functions` (promise P17 of docs/security.md). Such a process imports this module too.
"""

from collections.abc import AsyncGenerator, Coroutine
from io import BytesIO
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from one_runtime.computing.frames import Frame
from one_runtime.computing.functions import FunctionPool
from one_runtime.computing.pool import NoProcess
from one_runtime.computing.process import ProcessEnded
from one_runtime.errors import MalformedRequest, RateLimited

T = TypeVar("T")

KIB: Final = 1024
MAX_FIELDS: Final = 1000
MAX_TEXT: Final = 1024 * KIB
"""Maximum numbers of the fields of a form, and of the bytes of one field."""
MAX_PUBLIC: Final = 64 * KIB
MAX_URL_ENCODED: Final = 1024 * KIB
MAX_MULTIPART: Final = 4 * 1024 * KIB
"""Maximum sizes of a form in bytes, on public and on other pages. The largest form uploads an OpenAPI document."""

URL_ENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
_SMALL: Final = 16 * KIB


class _MemoryParser(MultiPartParser):
    """Keeps uploaded files in memory. The process cannot write files."""

    spool_max_size = 2 * MAX_MULTIPART


async def read_form(pool: FunctionPool, owner: str, body: bytes, content_type: str) -> FormData:
    """Return the fields of a form. `owner`: the organization or the visitor. Raises: MalformedRequest; RateLimited."""
    arguments = {"content_type": content_type}
    if len(body) <= _SMALL:
        facts, data = parse(body, **arguments)
    else:
        try:
            facts, data = await pool.call(owner, parse, body, arguments)
        except NoProcess:
            raise RateLimited("The server reads many other large forms. Send the form again later.", 1) from None
        except ProcessEnded:
            raise MalformedRequest("The form cannot be read. It has too many parts.") from None
    if (problem := facts.get("problem")) is not None:
        raise MalformedRequest(f"The form cannot be read: {problem}")
    items, start = list[tuple[str, str | UploadFile]](), 0
    for name, size, file_name in facts["items"]:
        content, start = data[start : start + size], start + size
        if file_name is None:
            items.append((name, content.decode("utf-8", "surrogatepass")))
        else:
            items.append((name, UploadFile(BytesIO(content), size=size, filename=file_name)))
    return FormData(items)


def parse(data: bytes, *, content_type: str) -> Frame:
    """Return the name, the size and the file name of each field, and the values in this order."""
    try:
        items = _url_encoded(data) if not content_type.lower().startswith(MULTIPART) else _multipart(data, content_type)
    except MultiPartException as error:
        return {"problem": error.message}, b""
    values = [(name, _bytes(value), value) for name, value in items]
    facts = [
        [name, len(content), (value.filename or "") if isinstance(value, UploadFile) else None]
        for name, content, value in values
    ]
    return {"items": facts}, b"".join(content for _, content, _ in values)


def _url_encoded(data: bytes) -> list[tuple[str, str | UploadFile]]:
    """Raises: MultiPartException."""
    try:
        return [*parse_qsl(data.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS)]
    except ValueError as error:
        raise MultiPartException(f"Too many fields. Maximum number of fields is {MAX_FIELDS}.") from error


def _multipart(data: bytes, content_type: str) -> list[tuple[str, str | UploadFile]]:
    """Raises: MultiPartException."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield data

    headers = Headers({"content-type": content_type})
    try:
        parser = _MemoryParser(headers, stream(), max_fields=MAX_FIELDS, max_files=MAX_FIELDS, max_part_size=MAX_TEXT)
        return _finish(parser.parse()).multi_items()
    except (KeyError, UnicodeError) as error:  # a part without a name, or a name in another character set
        raise MultiPartException("A part has no valid name.") from error


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that waits for nothing: the data and the files are in memory."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("The parser waits.")


def _bytes(value: str | UploadFile) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    with value.file as file:
        file.seek(0)
        return file.read()
