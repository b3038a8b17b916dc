"""The sign-in page: a passkey, or an e-mail address and a password with a second step."""

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from one_runtime.dashboard import passkey_forms, session
from one_runtime.dashboard.cookies import KNOWN_BROWSER
from one_runtime.dashboard.declarations import PUBLIC, Pages
from one_runtime.dashboard.passkey_forms import credential_of, find_party, require_party
from one_runtime.dashboard.session import safe_path
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import InvalidInput
from one_runtime.team.dashboard_sessions import SignInMethod
from one_runtime.team.sign_in import passkey_sign_in, password_sign_in, steps
from one_runtime.team.sign_in.steps import SignInStepExpired

_SECOND_STEP: Final = "or_second_step"
_SECONDS: Final = int(steps.LIFETIME.total_seconds())
_EXPIRED: Final = "/sign-in?done=expired"

pages = Pages(
    {
        "signed_out": "You are signed out.",
        "expired": "The sign-in took too long, or was already used. Start again.",
    },
    failures=("expired",),
)


@pages.get("/sign-in", access=PUBLIC)
async def show_sign_in(visit: Visit) -> Response:
    """Show how to sign in."""
    return _show(visit, next_path=safe_path(visit.query("next", "/")))


@pages.post("/sign-in", access=PUBLIC)
async def enter_password(visit: Visit) -> Response:
    """Check the password, and continue with the second step."""
    form = await visit.form()
    email, next_path = str(form.get("email", "")), safe_path(str(form.get("next", "/")))
    try:
        step = await password_sign_in.begin(
            visit.installation, email, str(form.get("password", "")), visit.address, visit.cookie(KNOWN_BROWSER)
        )
    except InvalidInput as error:
        return _show(visit, next_path=next_path, email=email, error=error)
    response = visit.redirect_to(f"/sign-in/second-step?{urlencode({'next': next_path})}")
    visit.cookies.set(response, _SECOND_STEP, step.token.secret, _SECONDS)
    return response


@pages.post("/sign-in/passkey/options", access=PUBLIC)
async def begin_passkey(visit: Visit) -> Response:
    """Return the options for the browser's dialog."""
    ceremony = await passkey_sign_in.begin(visit.installation, require_party(visit), visit.address)
    return passkey_forms.respond_with_options(visit, ceremony)


@pages.post("/sign-in/passkey", access=PUBLIC)
async def enter_passkey(visit: Visit) -> Response:
    """Sign in with a passkey."""
    form = await visit.form()
    next_path, token = safe_path(str(form.get("next", "/"))), visit.cookie(passkey_forms.COOKIE)
    try:
        member_id = await passkey_sign_in.finish(visit.installation, require_party(visit), token, credential_of(form))
    except InvalidInput as error:
        return _show(visit, next_path=next_path, error=error)
    return await _finish(visit, member_id, "passkey", next_path, passkey_forms.COOKIE)


@pages.get("/sign-in/second-step", access=PUBLIC)
async def show_second_step(visit: Visit) -> Response:
    """Ask for a code or for a passkey."""
    return await _show_second_step(visit, safe_path(visit.query("next", "/")))


@pages.post("/sign-in/second-step", access=PUBLIC)
async def enter_code(visit: Visit) -> Response:
    """Sign in with the code of an authenticator app."""
    form = await visit.form()
    next_path, token = safe_path(str(form.get("next", "/"))), visit.cookie(_SECOND_STEP)
    try:
        member_id = await password_sign_in.finish_with_code(visit.installation, token, str(form.get("code", "")))
    except InvalidInput as error:
        return await _show_second_step(visit, next_path, error)
    return await _finish(visit, member_id, "password", next_path, _SECOND_STEP)


@pages.post("/sign-in/second-step/passkey/options", access=PUBLIC)
async def begin_second_passkey(visit: Visit) -> Response:
    """Return the options for the browser's dialog."""
    token = visit.cookie(_SECOND_STEP)
    options = await password_sign_in.passkey_options(visit.installation, require_party(visit), token)
    return passkey_forms.respond_with_json(visit, options)


@pages.post("/sign-in/second-step/passkey", access=PUBLIC)
async def enter_second_passkey(visit: Visit) -> Response:
    """Sign in with a passkey after the password."""
    form = await visit.form()
    next_path, token = safe_path(str(form.get("next", "/"))), visit.cookie(_SECOND_STEP)
    try:
        member_id = await password_sign_in.finish_with_passkey(
            visit.installation, require_party(visit), token, credential_of(form)
        )
    except InvalidInput as error:
        return await _show_second_step(visit, next_path, error)
    return await _finish(visit, member_id, "password", next_path, _SECOND_STEP)


def _show(visit: Visit, *, next_path: str, email: str = "", error: InvalidInput | None = None) -> Response:
    return visit.render(
        "sign_in.html",
        status=422 if error else 200,
        title="Sign in to One Runtime",
        next_path=next_path,
        email=email,
        errors=FormErrors.of(error, ("email", "password")) if error else None,
        has_passkeys=find_party(visit) is not None,
    )


async def _show_second_step(visit: Visit, next_path: str, error: InvalidInput | None = None) -> Response:
    try:
        accepts_code, accepts_passkey = await password_sign_in.find_second_step(
            visit.installation, visit.cookie(_SECOND_STEP)
        )
    except SignInStepExpired:
        return visit.redirect_to(_EXPIRED)
    return visit.render(
        "second_step.html",
        status=422 if error else 200,
        title="Confirm that it is you",
        next_path=next_path,
        errors=FormErrors.of(error, ("code",)) if error else None,
        accepts_code=accepts_code,
        accepts_passkey=accepts_passkey and find_party(visit) is not None,
    )


async def _finish(visit: Visit, member_id: str, method: SignInMethod, next_path: str, cookie: str) -> Response:
    """Create the session, and redirect the browser to the page that it asked for."""
    async with visit.installation.database.write() as tx:
        token = await session.start(visit, tx, member_id, method)
    response = session.signed_in(visit, token, member_id, next_path)
    visit.cookies.delete(response, cookie)
    return response
