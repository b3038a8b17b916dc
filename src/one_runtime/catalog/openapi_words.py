"""Convert parts of an OpenAPI document into plain texts for end users: Markdown, HTML, and names like `tenantId`."""

import re
from typing import Final

_MAX_READ: Final = 2_000  # characters; enough for a first sentence
_TAG: Final = re.compile(r"<[^<>]*>")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARK: Final = re.compile(r"(?m)^\s*(?:#+|[-*+>]|\d+\.)\s+|[*`]+|\B_+|_+\B|https?://\S+")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def sentence_of(text: object, longest: int) -> str:
    """Return the first sentence as plain text, with a capital letter and a full stop.

    The result has at most `longest` characters. Return "" if the text has no sentence.
    """
    start = text[:_MAX_READ] if isinstance(text, str) else ""
    plain = " ".join(_MARK.sub(" ", _LINK.sub(r"\1", _TAG.sub(" ", start))).split())
    sentence = _SENTENCE.split(plain)[0].rstrip(".!?: ")
    while len(sentence) >= longest and " " in sentence:
        sentence = sentence.rpartition(" ")[0].rstrip(",;:")
    sentence = sentence[: longest - 1]
    return f"{sentence[0].upper()}{sentence[1:]}." if re.match(r"[A-Za-z0-9]", sentence) else ""


def label_of(name: object) -> str:
    """Return a label for a name: `tenantId` and `tenant-id` become "Tenant id"."""
    words = re.findall(r"[A-Za-z0-9]+", _HUMP.sub(" ", str(name)[:200]))
    return " ".join(word if word.isupper() else word.lower() for word in words)[:60].strip().capitalize() or "Value"


def name_of(name: object) -> str:
    """Return a name that an entry allows: `tenantId` and `tenant-id` become `tenant_id`."""
    words = "_".join(re.findall(r"[a-z0-9]+", _HUMP.sub(" ", str(name)[:200]).lower()))[:60].strip("_")
    return words if words[:1].isalpha() else f"value_{words}".rstrip("_")
