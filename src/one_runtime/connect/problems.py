"""Name the text that an end user sees for an error. The messages of the API are for developers, and in English.

The popup's script and the server's pages look the text up by its name, and put in the names of the integration and of
the organization.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from one_runtime.connect.texts import ENGLISH, Texts
from one_runtime.connecting.authorization_attempts import failure_code
from one_runtime.connections.connections import AccountMismatch
from one_runtime.connections.credentials import PermissionMissing
from one_runtime.errors import FieldError, OneRuntimeError

_IN_FORM: Final = ("problem", "failed")
_AFTER_AUTHORIZATION: Final = ("failed", "problem")


class ShownText(NamedTuple):
    """The name of a text, and the values that the error itself knows."""

    name: str
    values: Mapping[str, str]

    def within(self, texts: Texts, **names: str) -> str:
        """Return the text in a language. `names`: the other values, which are `integration` and `organization`."""
        return texts.text(self.name, **names, **self.values)


def text_of_error(error: OneRuntimeError) -> ShownText:
    """Return the text for an error of a form."""
    if isinstance(error, AccountMismatch):
        new, old = error.labels
        return ShownText("replace.body", {"new": new, "old": old})
    if isinstance(error, PermissionMissing):
        return _text_of_code(error.code, _IN_FORM, error.permission)
    return _text_of_code(error.code, _IN_FORM)


def text_of_problem(problem: OneRuntimeError) -> ShownText:
    """Return the text for the error of a failed authorization."""
    return text_of_failure(
        failure_code(problem), problem.permission if isinstance(problem, PermissionMissing) else None
    )


def text_of_failure(code: str, permission: str | None = None) -> ShownText:
    """Return the text for the code of a failed authorization. `permission`: the missing one, if its name is known."""
    return _text_of_code(code, _AFTER_AUTHORIZATION, permission)


def text_of_field(error: FieldError) -> ShownText:
    """Return the text for an invalid value of a form."""
    return ShownText(f"field.{error.rule or 'invalid'}", dict(error.values))


def members_of(error: OneRuntimeError) -> dict[str, object]:
    """Return the members of the error's JSON for the popup's script: `text`, and `field_texts` by the field's path."""
    fields = {invalid.field: text_of_field(invalid)._asdict() for invalid in error.errors}
    return {"text": text_of_error(error)._asdict(), "field_texts": fields}


def _text_of_code(code: str, groups: tuple[str, str], permission: str | None = None) -> ShownText:
    if permission is not None:
        return ShownText("problem.permission", {"permission": permission})
    known = next((key for group in groups if (key := f"{group}.{code}") in ENGLISH), "problem.other")
    return ShownText(known, {})
