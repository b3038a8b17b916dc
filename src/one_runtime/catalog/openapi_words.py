"""Words for end users out of what a developer wrote into an OpenAPI document: Markdown, tags, names in camel case."""

import re
from typing import Final

_READ: Final = 2_000  # characters; a first sentence is no longer
_TAG: Final = re.compile(r"<[^<>]*>")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARK: Final = re.compile(r"(?m)^\s*(?:#+|[-*+>]|\d+\.)\s+|[*`]+|\B_+|_+\B|https?://\S+")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def sentence_of(text: object, longest: int) -> str:
    """The first sentence, plain, with a capital and a full stop; empty where there is nothing of the kind."""
    told = text[:_READ] if isinstance(text, str) else ""
    plain = " ".join(_MARK.sub(" ", _LINK.sub(r"\1", _TAG.sub(" ", told))).split())
    sentence = _SENTENCE.split(plain)[0].rstrip(".!?: ")
    while len(sentence) >= longest and " " in sentence:
        sentence = sentence.rpartition(" ")[0].rstrip(",;:")
    sentence = sentence[: longest - 1]
    return f"{sentence[0].upper()}{sentence[1:]}." if re.match(r"[A-Za-z0-9]", sentence) else ""


def label_of(name: object) -> str:
    """`tenantId` and `tenant-id` are "Tenant id"."""
    words = re.findall(r"[A-Za-z0-9]+", _HUMP.sub(" ", str(name)[:200]))
    return " ".join(word if word.isupper() else word.lower() for word in words)[:60].strip().capitalize() or "Value"


def name_of(name: object) -> str:
    """The same as a name in an entry: `tenant_id`."""
    words = "_".join(re.findall(r"[a-z0-9]+", _HUMP.sub(" ", str(name)[:200]).lower()))[:60].strip("_")
    return words if words[:1].isalpha() else f"value_{words}".rstrip("_")
