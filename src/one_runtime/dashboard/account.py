"""The account of a member: name, sign-in methods and sessions. It belongs to no organization.

The page that follows an invitation has the same forms, with a field `next`: the path of the page after it.
"""

from typing import Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import FormData
from starlette.responses import Response

from one_runtime.dashboard import passkey_forms
from one_runtime.dashboard.declarations import SIGNED_IN, Pages
from one_runtime.dashboard.passkey_forms import credential_of, find_party, require_party
from one_runtime.dashboard.session import safe_path
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import InvalidInput
from one_runtime.team import dashboard_sessions, members
from one_runtime.team.dashboard_sessions import DashboardSession
from one_runtime.team.sign_in import methods, passkeys, totp
from one_runtime.team.sign_in.methods import AccountOwner
from one_runtime.team.sign_in.passkeys import NewPasskey
from one_runtime.team.sign_in.steps import SignInStepExpired

_TOTP: Final = "or_totp"
_ACCOUNT: Final = "/account"
_WELCOME: Final = "/welcome"
_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")
)  # fmt: skip
_SYSTEMS: Final = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip

pages = Pages(
    {
        "name": "Your name is saved.",
        "password": "Your password is saved. Other sessions have ended.",
        "password_removed": "Your password is removed.",
        "totp": "Your authenticator app is set up. Other sessions have ended.",
        "totp_removed": "Your authenticator app is removed.",
        "passkey": "Your passkey is added.",
        "passkey_renamed": "Your passkey has a new name.",
        "passkey_removed": "Your passkey is removed. Other sessions have ended.",
        "session": "The session has ended.",
        "sessions": "All other sessions have ended.",
        "expired": "The set-up took too long, or was already used. Start again.",
    },
    failures=("expired",),
)


class ShownSession(NamedTuple):
    """A session, and the name of its browser."""

    session: DashboardSession
    browser: str
    is_current: bool


@pages.get(_ACCOUNT, access=SIGNED_IN)
async def show_account(visit: Visit) -> Response:
    """Show the account."""
    return await _show_account(visit)


@pages.get(_WELCOME, access=SIGNED_IN)
async def show_welcome(visit: Visit) -> Response:
    """Show how to sign in next time, after the link of an invitation."""
    return await _show_welcome(visit, safe_path(visit.query("next", "/")))


@pages.post("/account/name", access=SIGNED_IN)
async def change_name(visit: Visit) -> Response:
    """Change the name of the member."""
    form = await visit.form()
    name = str(form.get("name", ""))
    try:
        async with visit.installation.database.write() as tx:
            await members.rename(tx, visit.member.member_id, name, visit.now, visit.address)
    except InvalidInput as error:
        return await _show_account(visit, FormErrors.of(error, ("name",)), name=name)
    return visit.redirect_to("/account?done=name")


@pages.post("/account/password", access=SIGNED_IN, recent=True)
async def set_password(visit: Visit) -> Response:
    """Set or change the password."""
    form = await visit.form()
    try:
        await methods.set_password(visit.installation, _owner(visit), str(form.get("password", "")))
    except InvalidInput as error:
        return await _show_again(visit, form, FormErrors.of(error, ("password",)))
    return _back(visit, form, "password")


@pages.post("/account/password/remove", access=SIGNED_IN, recent=True)
async def remove_password(visit: Visit) -> Response:
    """Remove the password."""
    async with visit.installation.database.write() as tx:
        await methods.remove_password(tx, _owner(visit), visit.now)
    return visit.redirect_to("/account?done=password_removed")


@pages.post("/account/authenticator", access=SIGNED_IN, recent=True)
async def begin_totp(visit: Visit) -> Response:
    """Show the secret for an authenticator app, once."""
    form = await visit.form()
    token = await methods.begin_totp(visit.installation, visit.member.member_id)
    response = await _show_totp(visit, form, token.secret)
    visit.cookies.set(response, _TOTP, token.secret, int(totp.SET_UP_LIFETIME.total_seconds()))
    return response


@pages.post("/account/authenticator/confirm", access=SIGNED_IN, recent=True)
async def confirm_totp(visit: Visit) -> Response:
    """Store the secret after the first code of the app."""
    form, token = await visit.form(), visit.cookie(_TOTP)
    try:
        await methods.add_totp(visit.installation, _owner(visit), token, str(form.get("code", "")))
    except SignInStepExpired:
        return _back(visit, form, "expired")
    except InvalidInput as error:
        return await _show_totp(visit, form, token, error)
    response = _back(visit, form, "totp")
    visit.cookies.delete(response, _TOTP)
    return response


@pages.post("/account/authenticator/remove", access=SIGNED_IN, recent=True)
async def remove_totp(visit: Visit) -> Response:
    """Remove the authenticator app."""
    async with visit.installation.database.write() as tx:
        await methods.remove_totp(tx, _owner(visit), visit.now)
    return visit.redirect_to("/account?done=totp_removed")


@pages.post("/account/passkeys/options", access=SIGNED_IN, recent=True)
async def begin_passkey(visit: Visit) -> Response:
    """Return the options for the browser's dialog."""
    ceremony = await methods.begin_passkey(visit.installation, require_party(visit), visit.member.member_id)
    return passkey_forms.respond_with_options(visit, ceremony)


@pages.post("/account/passkeys", access=SIGNED_IN, recent=True)
async def add_passkey(visit: Visit) -> Response:
    """Store the passkey that the browser has created."""
    form = await visit.form()
    new = NewPasskey(credential_of(form), str(form.get("name", "")))
    token = visit.cookie(passkey_forms.COOKIE)
    try:
        await methods.add_passkey(visit.installation, require_party(visit), _owner(visit), token, new)
    except InvalidInput as error:
        return await _show_again(visit, form, FormErrors(general=error.detail))
    response = _back(visit, form, "passkey")
    visit.cookies.delete(response, passkey_forms.COOKIE)
    return response


@pages.post("/account/passkeys/{passkey_id}/rename", access=SIGNED_IN)
async def rename_passkey(visit: Visit) -> Response:
    """Change the name of a passkey."""
    form = await visit.form()
    try:
        async with visit.installation.database.write() as tx:
            await passkeys.rename(tx, visit.member.member_id, visit.parameter("passkey_id"), str(form.get("name", "")))
    except InvalidInput as error:
        return await _show_account(visit, FormErrors(general=error.detail))
    return visit.redirect_to("/account?done=passkey_renamed")


@pages.post("/account/passkeys/{passkey_id}/remove", access=SIGNED_IN, recent=True)
async def remove_passkey(visit: Visit) -> Response:
    """Remove a passkey."""
    async with visit.installation.database.write() as tx:
        await methods.remove_passkey(tx, _owner(visit), visit.parameter("passkey_id"), visit.now)
    return visit.redirect_to("/account?done=passkey_removed")


@pages.post("/account/sessions/{session_id}/end", access=SIGNED_IN)
async def end_session(visit: Visit) -> Response:
    """End another session of the member."""
    async with visit.installation.database.write() as tx:
        await dashboard_sessions.end(tx, visit.member.member_id, visit.parameter("session_id"))
    return visit.redirect_to("/account?done=session")


@pages.post("/account/sessions/end-others", access=SIGNED_IN)
async def end_other_sessions(visit: Visit) -> Response:
    """End all other sessions of the member."""
    member = visit.member
    async with visit.installation.database.write() as tx:
        await dashboard_sessions.end_all(tx, member.member_id, except_session=member.session_id)
    return visit.redirect_to("/account?done=sessions")


def describe_browser(user_agent: str | None) -> str:
    """Return the browser and the system of a header `User-Agent`, such as `Firefox on Linux`."""
    text = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if mark in text), None)
    return " on ".join(filter(None, (browser, system))) or "Unknown browser"


async def _show_account(visit: Visit, errors: FormErrors | None = None, name: str | None = None) -> Response:
    member = visit.member
    async with visit.installation.database.read() as tx:
        present = await methods.find(tx, member.member_id)
        keys = await passkeys.list_all(tx, member.member_id)
        sessions = await dashboard_sessions.list_all(tx, member.member_id, visit.now)
    return visit.render(
        "account.html",
        status=422 if errors else 200,
        title="Your account",
        name=present.name or "" if name is None else name,
        passkeys=keys,
        sessions=[
            ShownSession(each, describe_browser(each.user_agent), each.id == member.session_id) for each in sessions
        ],
        **_methods(visit, present, errors),
    )


async def _show_welcome(visit: Visit, next_path: str, errors: FormErrors | None = None) -> Response:
    async with visit.installation.database.read() as tx:
        present = await methods.find(tx, visit.member.member_id)
    return visit.render(
        "welcome.html",
        status=422 if errors else 200,
        title="Choose how you sign in",
        next_path=next_path,
        **_methods(visit, present, errors),
    )


def _owner(visit: Visit) -> AccountOwner:
    return AccountOwner(visit.member.member_id, visit.member.session_id, visit.address)


def _methods(visit: Visit, present: methods.SignInMethods, errors: FormErrors | None) -> dict[str, object]:
    """Return the variables of both pages."""
    return {
        "methods": present,
        "errors": errors,
        "has_passkeys": find_party(visit) is not None,
        "is_recent": visit.member.has_authenticated_recently(visit.now),
        "browser": describe_browser(visit.user_agent),
    }


async def _show_totp(visit: Visit, form: FormData, token: str, error: InvalidInput | None = None) -> Response:
    service = f"One Runtime ({urlsplit(visit.installation.settings.dashboard_url).hostname})"
    try:
        set_up = await methods.find_totp_set_up(visit.installation, visit.member.member_id, token, service)
    except SignInStepExpired:
        return _back(visit, form, "expired")
    return visit.render(
        "authenticator.html",
        status=422 if error else 200,
        title="Set up an authenticator app",
        key=" ".join(set_up.key[start : start + 4] for start in range(0, len(set_up.key), 4)),
        picture=totp.draw_qr_code(set_up),
        next_path=_next_of(form),
        errors=FormErrors.of(error, ("code",)) if error else None,
    )


async def _show_again(visit: Visit, form: FormData, errors: FormErrors) -> Response:
    """Show the page that sent the form, with its errors."""
    next_path = _next_of(form)
    return await (_show_welcome(visit, next_path, errors) if next_path else _show_account(visit, errors))


def _back(visit: Visit, form: FormData, done: str) -> Response:
    """Redirect to the page that sent the form."""
    next_path = _next_of(form)
    if next_path:
        return visit.redirect_to(f"{_WELCOME}?{urlencode({'next': next_path, 'done': done})}")
    return visit.redirect_to(f"{_ACCOUNT}?done={done}")


def _next_of(form: FormData) -> str | None:
    """Return the path in the field `next`. Only the forms of the page after an invitation have this field."""
    path = str(form.get("next", ""))
    return safe_path(path) if path else None
