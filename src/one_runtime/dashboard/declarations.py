"""Declare the pages of the dashboard. A declaration contains the permission that a page needs.

`application.py` collects the declarations for the routes, the permission check and tests.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from starlette.responses import Response

from one_runtime.dashboard.visit import Visit
from one_runtime.tenancy.roles import Permission

PUBLIC: Final = None
"""The access of pages that need no sign-in."""

SIGNED_IN: Final = "signed_in"
"""The access of pages that belong to no organization, such as the member's account."""

Access: TypeAlias = Permission | Literal["signed_in"] | None
Handler: TypeAlias = Callable[[Visit], Awaitable[Response]]

ORGANIZATION: Final = "/o/{organization_id}"
"""Beginning of the path of all pages of an organization."""


@dataclass(frozen=True, slots=True)
class PageSpec:
    """Declaration of a page or of an action: one method of one path.

    - `access`: the permission in the organization of the path, `SIGNED_IN` or `PUBLIC`.
    - `recent`: True if the member must have authenticated in the last minutes.
    - `messages`: the texts that the page shows after an action, by the value of the parameter `done`.
    - `failures`: the values of `done` after an action without success. The page shows their texts as problems.
    """

    method: Literal["GET", "POST"]
    path: str
    access: Access
    handler: Handler = field(repr=False)
    recent: bool = False
    messages: Mapping[str, str] = field(default_factory=dict, repr=False)
    failures: Collection[str] = ()

    @property
    def name(self) -> str:
        """Return the method and the path, such as `GET /o/{organization_id}/connections`."""
        return f"{self.method} {self.path}"


class Pages:
    """The pages of one module. `messages`, `failures`: see `PageSpec`."""

    def __init__(self, messages: Mapping[str, str] | None = None, failures: Collection[str] = ()) -> None:
        self.specs: list[PageSpec] = []
        self._failures = failures
        self._messages = messages or {}

    def get(self, path: str, *, access: Access, recent: bool = False) -> Callable[[Handler], Handler]:
        """Declare a page. The handler must not change anything."""
        return self._declare("GET", path, access, recent=recent)

    def post(self, path: str, *, access: Access, recent: bool = False) -> Callable[[Handler], Handler]:
        """Declare an action."""
        return self._declare("POST", path, access, recent=recent)

    def _declare(
        self, method: Literal["GET", "POST"], path: str, access: Access, *, recent: bool
    ) -> Callable[[Handler], Handler]:
        """A path in an organization needs a permission, and a path elsewhere cannot have one."""
        if path.startswith(ORGANIZATION) != (access not in {PUBLIC, SIGNED_IN}):
            raise ValueError(f"The access of {path} must be a permission exactly if the path has an organization.")

        def declare(handler: Handler) -> Handler:
            self.specs.append(PageSpec(method, path, access, handler, recent, self._messages, self._failures))
            return handler

        return declare
