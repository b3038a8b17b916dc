"""Convert parts of an OpenAPI document into plain texts for end users: Markdown, HTML, and names like `tenantId`."""

import re
from typing import Final

_MAX_READ: Final = 2_000  # characters; enough for a first sentence
_TAG: Final = re.compile(r"<[^<>]*>")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARK: Final = re.compile(r"(?m)^\s*(?:#+|[-*+>]|\d+\.)\s+|[*`]+|\B_+|_+\B|https?://\S+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# Format characters, tags, private characters and lone surrogates: a reader does not see them, but a model reads them.
_HIDDEN: Final = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\uf8ff"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
_SPACE_BEFORE_MARK: Final = re.compile(r" (?=[.,;:!?](?:\s|$))")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def sentence_of(text: object, longest: int) -> str:
    """Return the first sentence as plain text, with a capital letter and a full stop.

    The result has at most `longest` characters. Return "" if the text has no sentence.
    """
    sentence = _SENTENCE.split(_plain(text))[0].rstrip(".!?: ")
    while len(sentence) >= longest and " " in sentence:
        sentence = sentence.rpartition(" ")[0].rstrip(",;:")
    sentence = sentence[: longest - 1]
    return f"{sentence[0].upper()}{sentence[1:]}." if re.match(r"[A-Za-z0-9]", sentence) else ""


def plain_text(text: object, longest: int) -> str:
    """Return the first sentence as plain text of at most `longest` characters, without invisible characters.

    Unlike `sentence_of`, keep texts of every language as they are.
    """
    sentence = _SPACE_BEFORE_MARK.sub("", _SENTENCE.split(_plain(text, 3 * longest))[0])
    if len(sentence) <= longest:
        return sentence
    return f"{sentence[: longest - 1].rpartition(' ')[0] or sentence[: longest - 1]}…"


def _plain(text: object, most: int = _MAX_READ) -> str:
    """Return the beginning of a text in Markdown or HTML as one line of plain text."""
    start = _HIDDEN.sub("", text[:most]) if isinstance(text, str) else ""
    return " ".join(_CONTROL.sub(" ", _MARK.sub(" ", _LINK.sub(r"\1", _TAG.sub(" ", start)))).split())


def label_of(name: object) -> str:
    """Return a label for a name: `tenantId` and `tenant-id` become "Tenant id"."""
    words = re.findall(r"[A-Za-z0-9]+", _HUMP.sub(" ", str(name)[:200]))
    return " ".join(word if word.isupper() else word.lower() for word in words)[:60].strip().capitalize() or "Value"


def name_of(name: object) -> str:
    """Return a name that an entry allows: `tenantId` and `tenant-id` become `tenant_id`."""
    words = "_".join(re.findall(r"[a-z0-9]+", _HUMP.sub(" ", str(name)[:200]).lower()))[:60].strip("_")
    return words if words[:1].isalpha() else f"value_{words}".rstrip("_")
