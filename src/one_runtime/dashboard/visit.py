"""Define `Visit`: a request of a browser to the dashboard, with the signed-in member."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from one_runtime.catalog.model import Integration
from one_runtime.context import Installation
from one_runtime.dashboard.cookies import DashboardCookies
from one_runtime.dashboard.end_user_paths import identifier_of, path_part, query_value
from one_runtime.dashboard.exports import ExportLimit
from one_runtime.dashboard.form_bodies import read_form
from one_runtime.dashboard.limits import require_text
from one_runtime.dashboard.masking import Whole, mask
from one_runtime.dashboard.rendering import Renderer
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id
from one_runtime.errors import InsufficientRole, InvalidInput
from one_runtime.integrations.entry_parser import EntryParser
from one_runtime.integrations.listing import IntegrationList
from one_runtime.proxy.concurrency import ProxyCalls
from one_runtime.team import dashboard_sessions
from one_runtime.team.dashboard_sessions import Visitor
from one_runtime.team.sign_in.openid_provider import OpenIDClient
from one_runtime.tenancy.authentication import client_address
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import Organization
from one_runtime.tenancy.roles import Permission


@dataclass(frozen=True, slots=True)
class DashboardServices:
    """The installation, and the objects that pages share with the API of the same process.

    `openid`: the OpenID provider at which members can sign in, or None. `render_preview`: returns the HTML of the popup
    for an organization, which can have unsaved settings. `exports`: the exports in progress.
    """

    installation: Installation
    logo_url: Callable[[Integration], str | None]
    proxy_calls: ProxyCalls
    entry_parser: EntryParser
    openid: OpenIDClient | None
    integration_list: IntegrationList
    render_preview: Callable[[Organization], str]
    exports: ExportLimit = field(default_factory=ExportLimit)


@dataclass(frozen=True, slots=True)
class FormErrors:
    """The errors of a form. `fields`: the message of each invalid field. `general`: a message about the whole form."""

    fields: Mapping[str, str] = field(default_factory=dict)
    general: str | None = None

    @classmethod
    def of(cls, error: InvalidInput, names: Sequence[str] = ()) -> "FormErrors":
        """Return the errors for a form with these fields. The general message contains the errors of other fields."""
        fields = {each.field: each.message for each in error.errors if not names or each.field in names}
        others = [each.sentence for each in error.errors if each.field not in fields]
        return cls(fields, " ".join(others) or (None if fields else error.detail))


def is_partial(request: Request) -> bool:
    """Return True for a request of htmx, which replaces a part of the page."""
    return request.headers.get("hx-request") == "true"


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to a page.

    - `visitor`: the signed-in member. None on a public page without a session.
    - `now`: time of the request.
    - `messages`, `failures`: the texts that the page can show after an action (`PageSpec`).
    - `posted`: the body of a form.
    """

    request: Request
    services: DashboardServices
    renderer: Renderer
    cookies: DashboardCookies
    visitor: Visitor | None
    now: datetime
    messages: Mapping[str, str] = field(default_factory=dict)
    failures: Collection[str] = ()
    posted: bytes = field(default=b"", repr=False)

    @property
    def installation(self) -> Installation:
        """Return the running installation."""
        return self.services.installation

    @property
    def member(self) -> Visitor:
        """Return the signed-in member of a page that needs a sign-in."""
        if self.visitor is None:
            raise RuntimeError("This page is public.")
        return self.visitor

    @property
    def organization_id(self) -> str:
        """Return the id of the organization in the path."""
        return self.parameter("organization_id")

    @property
    def actor(self) -> Actor:
        """Return the member as the actor of an event."""
        return Actor(self.organization_id, "member", self.member.member_id, self.address)

    @property
    def address(self) -> str | None:
        """Return the IP address of the browser."""
        return client_address(self.request.scope)

    @property
    def is_partial(self) -> bool:
        """Return True for a request of htmx, which replaces a part of the page."""
        return is_partial(self.request)

    @property
    def user_agent(self) -> str | None:
        """Return the browser's name."""
        return self.request.headers.get("user-agent")

    def may(self, permission: Permission) -> bool:
        """Return True if the member has the permission in the organization of the path."""
        return self.visitor is not None and self.visitor.may(permission)

    @property
    def is_masked(self) -> bool:
        """Return True if the member may not see the e-mail addresses of end users."""
        visitor = self.visitor
        is_member = visitor is not None and visitor.role is not None
        return is_member and self.installation.settings.dashboard_mask_end_users and not self.may("identify")

    def mask(self, text: str) -> str:
        """Return a text as the pages show it to the member."""
        return mask(text) if self.is_masked else text

    def typed(self, text: str) -> Whole:
        """Return a value of the query for the field in which the member has entered the value.

        Links contain identifiers of end users as `query_value` writes them.
        """
        return Whole(text if self.is_masked else identifier_of(text))

    async def require_access(self, tx: Transaction, permission: Permission) -> None:
        """Check again, while a long response is in progress, that the member has access. Raises: InsufficientRole."""
        session_id, now = self.member.session_id, self.installation.clock()
        if not await dashboard_sessions.has_permission(tx, session_id, self.organization_id, permission, now):
            raise InsufficientRole("Your session has ended, or you are no member of this organization any more.")

    def parameter(self, name: str) -> str:
        """Return a parameter of the path, such as `connection_id`."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """Return a parameter of the query without surrounding spaces, or the default."""
        return self.request.query_params.get(name, default).strip()

    @property
    def cursor(self) -> str | None:
        """Return the id in the parameter `before`. A page lists only older rows. Return None for the first page."""
        before = self.query("before")
        return before if is_id(before) else None

    def cookie(self, name: str) -> str:
        """Return the value of a cookie, or an empty text."""
        return self.cookies.read(self.request.cookies, name) or ""

    async def form(self) -> FormData:
        """Return the fields of the posted form. Raises: MalformedRequest; RateLimited."""
        owner = self.visitor.member_id if self.visitor is not None else ""
        content_type = self.request.headers.get("content-type", "")
        form = await read_form(self.installation.computing, owner, self.posted, content_type)
        for name, value in form.multi_items():
            require_text(name)
            if isinstance(value, str):
                require_text(value)
        return form

    def path(self, *parts: str, **query: str) -> Whole:
        """Return the path of a page in the organization, such as `visit.path("connections", id, done="renamed")`.

        Write the identifier of an end user with `path_part` or `query_value`.
        """
        path = "/".join(("/o", quote(self.organization_id), *(quote(part, safe="") for part in parts)))
        return Whole(path + (f"?{urlencode(query)}" if query else ""))

    def end_user_path(self, end_user_id: str, *parts: str, **query: str) -> Whole:
        """Return the path of the page of an end user, or of an action of this page."""
        return self.path("end-users", path_part(end_user_id), *parts, **query)

    def path_of_list(self, section: str, name: str, end_user_id: str) -> Whole:
        """Return the path of a list with the filter `name` for an end user, such as the events of the end user."""
        return self.path(section, **{name: query_value(end_user_id)})

    def redirect(self, *parts: str, fragment: str = "", **query: str) -> Response:
        """Redirect the browser to a page of the organization, after an action. `fragment`: the id of a section."""
        return self.redirect_to(self.path(*parts, **query) + (f"#{fragment}" if fragment else ""))

    def redirect_to(self, path: str) -> Response:
        """Redirect the browser to a path of the dashboard with GET."""
        return RedirectResponse(path, 303)

    def render(self, template: str, *, status: int = 200, title: str, **values: object) -> Response:
        """Render a page. `title`: the page's heading. `values`: the variables of the template.

        Every template also has `visit`, `title`, `message` (the text after an action, or None), and `has_failed` (True
        if the action had no success).
        """
        done = self.query("done") if self.request.method == "GET" else ""
        after = {"message": self.messages.get(done), "has_failed": done in self.failures}
        values |= {"visit": self, "title": title, **after}
        body = self.renderer.render(template, is_masked=self.is_masked, **values)
        return Response(body, status, self.renderer.headers)
