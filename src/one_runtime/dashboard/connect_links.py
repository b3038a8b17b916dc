"""Create a link with which an end user connects an account, and the text to send to the end user.

The page shows the link only in the answer to the form, because the database stores only a hash of the link's token.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from starlette.responses import Response

from one_runtime.connecting.new_session import NewSession, create_session
from one_runtime.dashboard.end_user_labels import label_of, own_test_user
from one_runtime.dashboard.visit import Visit
from one_runtime.tenancy.end_users import EndUser

_EXPIRY: Final = "%H:%M UTC on %d %B %Y"
_LIFETIME: Final = 7 * 24 * 3600
"""Seconds in which the end user can open the link of a message."""


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A link to create. `integration_name`: None if the end user chooses the integration.

    `connection_id`, `connection_name`: the connection to connect again, or None for a new connection.
    """

    end_user: EndUser
    integration_slug: str | None
    integration_name: str | None
    connection_id: str | None = None
    connection_name: str | None = None


@dataclass(frozen=True, slots=True)
class TeamLink:
    """A new link. `text`: the message for the end user. `mail_to`: a URL that opens a new e-mail with this message.

    `recipient`: the end user's e-mail address, or an empty text if the member may not see the address.
    """

    url: str = field(repr=False)
    expires_at: datetime
    text: str = field(repr=False)
    recipient: str
    mail_to: str = field(repr=False)


async def respond_with_link(visit: Visit, request: LinkRequest) -> Response:
    """Create a session in the mode `link`, and return the page with its link.

    Raises: the exceptions of `create_session`.
    """
    link, person = await _create(visit, request), request.end_user
    label = label_of(visit, person.end_user_id, person.name, person.email)
    section, back, name = "End users", label.path, label.text
    if request.connection_id is not None:
        section, back = "Connections", visit.path("connections", request.connection_id)
        name = request.connection_name or "Connection"
    return visit.render(
        "connect_link.html",
        title="Reconnect link" if request.connection_id else "Link to connect",
        link=link,
        request=request,
        person=None if person.end_user_id == own_test_user(visit) else label.text,
        crumbs=[(back.rpartition("/")[0], section), (back, name)],
        back=back,
    )


async def _create(visit: Visit, request: LinkRequest) -> TeamLink:
    new = NewSession(
        end_user=EndUser(request.end_user.end_user_id, None, None, visit.now, visit.now),
        integration_slug=request.integration_slug,
        mode="link",
        expires_in=_LIFETIME,
        target_connection_id=request.connection_id,
    )
    async with visit.installation.database.write() as tx:
        session, token = await create_session(tx, visit.installation, visit.actor, new)
    url = f"{visit.installation.settings.public_url}/connect?session_token={token.secret}"
    text = _text(visit, request, url, session.expires_at)
    subject = _subject(visit, request)
    mail = urlencode({"subject": subject, "body": text}, quote_via=quote)
    recipient = "" if visit.is_masked else quote(request.end_user.email or "", safe="@")
    return TeamLink(url, session.expires_at, text, recipient, f"mailto:{recipient}?{mail}")


def _subject(visit: Visit, request: LinkRequest) -> str:
    again = " again" if request.connection_id else ""
    return f"Connect {request.integration_name or 'your account'}{again} to {visit.member.organization_name}"


def _text(visit: Visit, request: LinkRequest, url: str, expires_at: datetime) -> str:
    greeting = f"Hello {request.end_user.name}," if request.end_user.name else "Hello,"
    organization, name = visit.member.organization_name, request.integration_name
    account = f"your {name} account" if name else "your account"
    ask = f"please connect {account} to {organization}."
    if request.connection_id:
        ask = f"please connect {account} to {organization} again."
    return (
        f"{greeting}\n\n{ask[0].upper()}{ask[1:]}\n\nOpen this link and follow the steps:\n\n{url}\n\n"
        f"The link works once, and expires at {expires_at.strftime(_EXPIRY)}.\n"
    )
