"""The popup's static files, read once at the start. Their address carries a hash, so browsers keep them for good."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from one_runtime.connect.texts import with_prefix

POPUP_MODULES: Final = (
    "api.js", "consents.js", "dom.js", "field.js", "form.js", "host.js", "list.js", "popup.js", "screens.js",
    "search.js", "texts.js",
)  # fmt: skip
WINDOW_MODULES: Final = ("dom.js", "field.js", "list.js", "search.js", "texts.js", "window.js")
CONSENT_MODULES: Final = ("consent.js",)
MODULES: Final = tuple(dict.fromkeys((*POPUP_MODULES, *WINDOW_MODULES, *CONSENT_MODULES)))
STYLESHEETS: Final = ("popup.css", "window.css")
_WHOLE_LINE_COMMENT: Final = re.compile(r"^[ \t]*(?://[^\n]*|/\*.*?\*/[ \t]*)\n", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_AROUND_PUNCTUATION: Final = re.compile(r"\s*([{};,])\s*|(:) ")
# Notices that only the server shows, in a window of its own.
_OF_THE_SERVER: Final = ("notice.foreign.", "notice.framed.", "notice.resume.", "notice.consent_lost.")
_PLACE_FOR_TEXTS: Final = "__TEXTS__"
_TYPES: Final = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Assets:
    """What the popup consists of, and the hash over all of it."""

    hash: str
    files: Mapping[str, Asset]
    connect_js: bytes
    connect_types: bytes


@cache
def load_assets() -> Assets:
    """Read the package's files and fill in the texts."""
    bodies = {name: _lean(_read(name)) for name in MODULES if name != "texts.js"}
    bodies |= {name: _close(_read(name)) for name in STYLESHEETS}
    page_texts = with_prefix("head.", "action.", "pick.", "choice.", "field.", "progress.", "problem.", "foot.",
                             "replace.", "waiting.", "done.", "notice.", "message.")  # fmt: skip
    page_texts = {key: words for key, words in page_texts.items() if not key.startswith(_OF_THE_SERVER)}
    bodies["texts.js"] = f"export default Object.freeze({_json(page_texts)});\n".encode()
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + bodies[name] for name in sorted(bodies)))
    files = {name: Asset(body, _TYPES[name.rpartition(".")[2]]) for name, body in bodies.items()}
    script = _lean(_read("connect.js")).decode()  # its one long template is a stylesheet, where indentation is nothing
    connect_js = script.replace(_PLACE_FOR_TEXTS, _json(with_prefix("host.")))
    return Assets(digest.hexdigest()[:20], files, connect_js.encode(), _read("connect.d.ts"))


def _read(name: str) -> bytes:
    return (resources.files("one_runtime.connect") / "static" / name).read_bytes()


def _lean(body: bytes) -> bytes:
    """Without whole-line comments and indentation: a fifth less, and still what stands in the source."""
    lines = _WHOLE_LINE_COMMENT.sub("", body.decode()).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip()).encode() + b"\n"


def _close(stylesheet: bytes) -> bytes:
    """A stylesheet without comments and space that only eyes need: no string of ours holds either (a test looks)."""
    lines = _COMMENT.sub("", stylesheet.decode()).split("\n")
    return _AROUND_PUNCTUATION.sub(r"\1\2", " ".join(line.strip() for line in lines)).strip().encode()


def _json(texts: Mapping[str, str]) -> str:
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
