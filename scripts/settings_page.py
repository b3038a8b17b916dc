"""Write the table in docs/settings.md: `python scripts/settings_page.py`. The content comes from `Settings`."""

from pathlib import Path
from typing import Final, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from one_runtime.settings import PREFIX, RELOADED, Settings

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "settings.md"


def table() -> str:
    """Return the table of all settings as Markdown."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_type(field)} | {_default(name, field)} | {_meaning(name, field)} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| name | type | default | meaning |", "|---|---|---|---|", *rows])


def _type(field: FieldInfo) -> str:
    if field.title:
        return field.title
    if field.annotation is SecretStr:
        return "secret"
    if field.annotation is int:
        limits = {type(limit).__name__: limit for limit in field.metadata}
        low, high = getattr(limits.get("Ge"), "ge", None), getattr(limits.get("Le"), "le", None)
        return "integer" if low is None else f"integer, {low} to {high}" if high else f"integer, at least {low}"
    return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))


def _meaning(name: str, field: FieldInfo) -> str:
    return f"{field.description} [Reloaded](#reloading)." if name in RELOADED else str(field.description)


def _default(name: str, field: FieldInfo) -> str:
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if name == "encryption_keys":
        return "none, required"
    return f"`{value}`" if value not in ("", ()) and value != frozenset() else "none"


def rewritten(page: str) -> str:
    """Return the page with the table replaced."""
    lines = page.splitlines()
    begin = lines.index("| name | type | default | meaning |")
    end = next(number for number in range(begin, len(lines)) if not lines[number].startswith("|"))
    return "\n".join([*lines[:begin], table(), *lines[end:]]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
