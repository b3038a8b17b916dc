"""Load the popup's static files (scripts and stylesheets) once, when One Runtime starts.

The URLs of `Assets.files` contain a hash over all these files. If a file changes, all URLs change. So browsers can
cache the files without an expiry.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from one_runtime.connect.texts import ENGLISH, LANGUAGES
from one_runtime.connect.theme import Theme, fix_scheme, scheme_file
from one_runtime.tenancy.branding import Branding, Scheme

POPUP_MODULES: Final = (
    "api.js", "authorization.js", "dom.js", "field.js", "form.js", "host.js", "list.js", "popup.js", "screens.js",
    "texts.js",
)  # fmt: skip
WINDOW_MODULES: Final = ("api.js", "dom.js", "field.js", "list.js", "texts.js", "window.js")
AUTHORIZATION_WINDOW_MODULES: Final = ("authorization_window.js",)
MODULES: Final = tuple(dict.fromkeys((*POPUP_MODULES, *WINDOW_MODULES, *AUTHORIZATION_WINDOW_MODULES)))
STYLESHEETS: Final = {"popup.css": ("popup.css", "form.css", "list.css", "notice.css"), "window.css": ("window.css",)}
_SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
_THEME_FILE: Final = re.compile(r"theme-([a-z0-9-]+)\.css")
_SAMPLE: Final = Theme(Branding("#2450c4", "#9db8ff", "large"))
"""A theme whose stylesheet is part of the hash. So the URLs change with the rules for these stylesheets."""

_WHOLE_LINE_COMMENT: Final = re.compile(r"^[ \t]*(?://[^\n]*|/\*.*?\*/[ \t]*)\n", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_AROUND_PUNCTUATION: Final = re.compile(r"\s*([{};,])\s*|(:) ")
_TEXTS_MODULE: Final = "texts.js"
_POPUP_TEXTS: Final = (
    "head.", "action.", "pick.", "choice.", "which.", "field.", "progress.", "problem.", "failed.", "foot.", "replace.",
    "leave.", "waiting.", "done.", "notice.", "message.",
)  # fmt: skip
# Only the server renders these notices, so the scripts do not need the texts.
_SERVER_NOTICES: Final = (
    "notice.foreign.",
    "notice.framed.",
    "notice.resume.",
    "notice.consent_lost.",
    "notice.approval_closed.",
    "notice.approval_approved.",
    "notice.approval_refused.",
)
_TEXTS_PLACEHOLDER: Final = "__TEXTS__"
_TYPES: Final = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file in the form that the server sends."""

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Assets:
    """The popup's static files. `hash`: the hash over `files` and the texts. `host_script`: see `connect_js`."""

    hash: str
    files: Mapping[str, Asset]
    host_script: str
    connect_types: bytes

    def find(self, name: str, language: str) -> Asset | None:
        """Return the file with this name, or the stylesheet of the theme whose key the name contains."""
        if name == _TEXTS_MODULE:
            return _texts_module(language)
        theme_file = _THEME_FILE.fullmatch(name)
        theme = Theme.parse(theme_file[1]) if theme_file is not None else None
        return self.files.get(name) if theme is None else Asset(theme.stylesheet.encode(), _TYPES["css"])

    def connect_js(self, language: str) -> bytes:
        """Return the script for the organization's page, with its texts in a language."""
        texts = LANGUAGES[language].starting_with("host.")
        return self.host_script.replace(_TEXTS_PLACEHOLDER, _json(texts)).encode()


@cache
def load_assets() -> Assets:
    """Read the static files of the package."""
    bodies = {name: _minify_script(_read(name)) for name in MODULES if name != _TEXTS_MODULE}
    bodies |= {name: _minify_stylesheet(b"".join(map(_read, parts))) for name, parts in STYLESHEETS.items()}
    for name in STYLESHEETS:
        bodies |= {scheme_file(name, scheme): fix_scheme(bodies[name].decode(), scheme).encode() for scheme in _SCHEMES}
    hashed = bodies | {"theme.css": _SAMPLE.stylesheet.encode()}
    hashed |= {f"{language}-{_TEXTS_MODULE}": _texts_module(language).body for language in LANGUAGES}
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + hashed[name] for name in sorted(hashed)))
    files = {name: Asset(body, _TYPES[name.rpartition(".")[2]]) for name, body in bodies.items()}
    script = _minify_script(
        _read("connect.js")
    ).decode()  # the only indented text in a string of the script is a stylesheet, which does not need indentation
    return Assets(digest.hexdigest()[:20], files, script, _read("connect.d.ts"))


def _texts_module(language: str) -> Asset:
    """Return the module with the texts of the popup in a language, or in English."""
    texts = LANGUAGES.get(language, ENGLISH).starting_with(*_POPUP_TEXTS)
    shown = {key: value for key, value in texts.items() if not key.startswith(_SERVER_NOTICES)}
    return Asset(f"export default Object.freeze({_json(shown)});\n".encode(), _TYPES["js"])


def _read(name: str) -> bytes:
    return (resources.files("one_runtime.connect") / "static" / name).read_bytes()


def _minify_script(body: bytes) -> bytes:
    """Remove whole-line comments and indentation, which are a fifth of the bytes."""
    lines = _WHOLE_LINE_COMMENT.sub("", body.decode()).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip()).encode() + b"\n"


def _minify_stylesheet(stylesheet: bytes) -> bytes:
    """Remove comments and needless spaces. A test ensures that no string of a stylesheet changes."""
    lines = _COMMENT.sub("", stylesheet.decode()).split("\n")
    return _AROUND_PUNCTUATION.sub(r"\1\2", " ".join(line.strip() for line in lines)).strip().encode()


def _json(texts: Mapping[str, str]) -> str:
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
