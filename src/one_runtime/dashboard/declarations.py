"""Declare the pages of the dashboard. A declaration contains the permission that a page needs.

An action can also need a recent authentication of the member. So a person who finds an open browser cannot do this
action. docs/dashboard.md lists these actions, and a test compares the list. `application.py` collects the declarations
for the routes, the checks and tests.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from starlette.datastructures import FormData
from starlette.responses import Response

from one_runtime.dashboard.visit import Visit
from one_runtime.tenancy.roles import Permission

PUBLIC: Final = None
"""The access of pages that need no sign-in."""

SIGNED_IN: Final = "signed_in"
"""The access of pages that belong to no organization, such as the member's account."""

Access: TypeAlias = Permission | Literal["signed_in"] | None
Handler: TypeAlias = Callable[[Visit], Awaitable[Response]]
RecentRule: TypeAlias = bool | Callable[[FormData], bool]
"""True if an action needs a recent authentication. A function decides by the form."""

ORGANIZATION: Final = "/o/{organization_id}"
"""Beginning of the path of all pages of an organization."""


@dataclass(frozen=True, slots=True)
class PageSpec:
    """Declaration of a page or of an action: one method of one path.

    - `access`: the permission in the organization of the path, `SIGNED_IN` or `PUBLIC`.
    - `recent`: True if the member must have authenticated in the last minutes.
    - `kept`: the fields whose values return to the form after a new authentication. They contain no secret.
    - `messages`: the texts that the page shows after an action, by the value of the parameter `done`.
    - `failures`: the values of `done` after an action without success. The page shows their texts as problems.
    """

    method: Literal["GET", "POST"]
    path: str
    access: Access
    handler: Handler = field(repr=False)
    recent: RecentRule = False
    kept: Sequence[str] = ()
    messages: Mapping[str, str] = field(default_factory=dict, repr=False)
    failures: Collection[str] = ()

    @property
    def name(self) -> str:
        """Return the method and the path, such as `GET /o/{organization_id}/connections`."""
        return f"{self.method} {self.path}"

    def needs_recent_authentication(self, form: FormData) -> bool:
        """Return True if the member must have authenticated in the last minutes. `form`: the fields of the action."""
        return self.recent(form) if callable(self.recent) else self.recent


class Pages:
    """The pages of one module. `messages`, `failures`: see `PageSpec`."""

    def __init__(self, messages: Mapping[str, str] | None = None, failures: Collection[str] = ()) -> None:
        self.specs: list[PageSpec] = []
        self._failures = failures
        self._messages = messages or {}

    def get(self, path: str, *, access: Access) -> Callable[[Handler], Handler]:
        """Declare a page. The handler must not change anything."""
        return self._declare("GET", path, access)

    def post(
        self, path: str, *, access: Access, recent: RecentRule | None = None, kept: Sequence[str] = ()
    ) -> Callable[[Handler], Handler]:
        """Declare an action. An action with the permission `admin` needs a recent authentication by default."""
        needed = access in {"admin", "own"} if recent is None else recent
        return self._declare("POST", path, access, recent=needed, kept=kept)

    def _declare(
        self,
        method: Literal["GET", "POST"],
        path: str,
        access: Access,
        *,
        recent: RecentRule = False,
        kept: Sequence[str] = (),
    ) -> Callable[[Handler], Handler]:
        """A path in an organization needs a permission, and a path elsewhere cannot have one."""
        if path.startswith(ORGANIZATION) != (access not in {PUBLIC, SIGNED_IN}):
            raise ValueError(f"The access of {path} must be a permission exactly if the path has an organization.")

        def declare(handler: Handler) -> Handler:
            spec = PageSpec(method, path, access, handler, recent, kept, self._messages, self._failures)
            self.specs.append(spec)
            return handler

        return declare
