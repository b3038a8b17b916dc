"""Messages for `webhooks.verify`, and what both clients do with them."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from one_runtime.webhooks.signatures import new_secret, signed_headers

Result: TypeAlias = Literal["verified", "refused", "misused"]

SECRET: Final = new_secret()
OTHER_SECRET: Final = new_secret()
EVENT: Final[dict[str, Any]] = {
    "id": "01a21077-a50a-7672-9076-0a05172494e4",
    "type": "connection.needs_reauth",
    "timestamp": "2026-11-27T13:52:10.215Z",
    "data": {
        "end_user_id": "user_é",
        "connection_id": "01a21077-a507-76f0-a326-42b1c2b20688",
        "reason": "invalid_grant",
        "reconnect": {"integration_slug": "hubspot", "end_user_id": "user_é"},
    },
}
BODY: Final = json.dumps(EVENT, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Case:
    """Arguments of `verify`, the result, and a part of the error's text. `body`: not bytes if a framework parsed it."""

    name: str
    result: Result
    text: str
    secret: Any
    headers: dict[str, str]
    body: Any

    def as_json(self) -> dict[str, Any]:
        body = (
            {"base64": base64.b64encode(self.body).decode()} if isinstance(self.body, bytes) else {"value": self.body}
        )
        return {"secret": self.secret, "headers": self.headers, "body": body}


def headers_of(body: bytes = BODY, *secrets: str, seconds: float = 0) -> dict[str, str]:
    """Return the headers that One Runtime sends with a body. `seconds`: the time of the message, from now on."""
    now = datetime.now(UTC) + timedelta(seconds=seconds)
    return signed_headers(secrets or (SECRET,), EVENT["id"], now, body)


def cases() -> list[Case]:
    """Return all cases, signed now."""
    return [*_verified(), *_refused(), *_misused()]


def _verified() -> list[Case]:
    headers = headers_of()
    signature = headers["webhook-signature"]
    upper = {name.title(): value for name, value in headers.items()}
    later = {**headers, "webhook-signature": f"v1a,abc v2 v1, {signature} v3,{signature[3:]}"}
    variants: list[tuple[str, Any, dict[str, str], Any]] = [
        ("plain", SECRET, headers, BODY),
        ("text instead of bytes", SECRET, headers, BODY.decode()),
        ("a secret without its prefix", SECRET.removeprefix("whsec_"), headers, BODY),
        ("several secrets", [OTHER_SECRET, SECRET], headers, BODY),
        ("two signatures", SECRET, headers_of(BODY, OTHER_SECRET, SECRET), BODY),
        ("signatures of other versions", SECRET, later, BODY),
        ("header names in another case", SECRET, upper, BODY),
        ("almost too old", SECRET, headers_of(seconds=-290), BODY),
        ("almost too far in the future", SECRET, headers_of(seconds=290), BODY),
    ]
    return [Case(name, "verified", "", *arguments) for name, *arguments in variants]


def _refused() -> list[Case]:
    headers = headers_of()
    time, signature = headers["webhook-timestamp"], headers["webhook-signature"]
    mismatch = "No signature of the message matches"
    changed: dict[str, tuple[str, dict[str, str]]] = {
        "another id": (mismatch, {"webhook-id": "01a21077-a50a-7672-9076-0a05172494e5"}),
        "another time": (mismatch, {"webhook-timestamp": str(int(time) - 1)}),
        "a cut signature": (mismatch, {"webhook-signature": signature[:-4]}),
        "a signature of another version": (mismatch, {"webhook-signature": f"v2{signature[2:]}"}),
        "a signature without a version": (mismatch, {"webhook-signature": signature[3:]}),
        "a signature beyond ASCII": (mismatch, {"webhook-signature": "v1,é" + signature[4:]}),
        "no id": ("no header webhook-id", {"webhook-id": ""}),
        "no time": ("no header webhook-timestamp", {"webhook-timestamp": ""}),
        "no signature": ("no header webhook-signature", {"webhook-signature": ""}),
        "a time with a fraction": ("seconds since 1970", {"webhook-timestamp": f"{time}.0"}),
        "a negative time": ("seconds since 1970", {"webhook-timestamp": "-1"}),
    }
    variants: list[tuple[str, str, Any, dict[str, str], Any]] = [
        ("a changed byte", mismatch, SECRET, headers, BODY.replace(b"invalid_grant", b"invalid_granT")),
        ("JSON that was encoded again", mismatch, SECRET, headers, json.dumps(EVENT).encode()),
        ("another secret", mismatch, OTHER_SECRET, headers, BODY),
        ("too old", "seconds in the past. At most 300 seconds", SECRET, headers_of(seconds=-310), BODY),
        ("too far in the future", "seconds in the future", SECRET, headers_of(seconds=311), BODY),
        ("no headers", "no header webhook-id", SECRET, {}, BODY),
        *((name, text, SECRET, headers | other, BODY) for name, (text, other) in changed.items()),
        *(
            (f"signed {body.decode()}", "valid signature, but is not", SECRET, headers_of(body), body)
            for body in (b"", b"{", b"[]", b"null", b'{"id": "1", "type": "x", "timestamp": "2026-11-27T13:52:10Z"}')
        ),
    ]
    return [Case(name, "refused", *arguments) for name, *arguments in variants]


def _misused() -> list[Case]:
    headers, no_secret, not_raw = headers_of(), "secret must", "raw body of the request"
    bodies: dict[str, Any] = {"parsed": EVENT, "a parsed list": [EVENT], "missing": None}
    secrets: dict[str, Any] = {
        "missing": None,
        "empty": "",
        "only the prefix": "whsec_",
        "a short secret": "whsec_c2hvcnQ=",
        "an API key": "oru_0123456789abcdef0123456789abcdef",
        "an empty list": [],
        "a list with a wrong secret": [SECRET, "oru_0123456789abcdef0123456789abcdef"],
    }
    return [
        *(Case(f"body: {name}", "misused", not_raw, SECRET, headers, body) for name, body in bodies.items()),
        *(Case(f"secret: {name}", "misused", no_secret, secret, headers, BODY) for name, secret in secrets.items()),
    ]
