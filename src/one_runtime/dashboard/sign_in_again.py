"""Ask a signed-in member to authenticate again, before an action that needs a recent authentication."""

from starlette.responses import Response

from one_runtime.dashboard import passkey_forms, session
from one_runtime.dashboard.declarations import SIGNED_IN, Pages
from one_runtime.dashboard.passkey_forms import credential_of, find_party, require_party
from one_runtime.dashboard.session import safe_path
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import InvalidInput
from one_runtime.team.sign_in import methods, passkey_sign_in, password_sign_in

pages = Pages()


@pages.get("/sign-in/again", access=SIGNED_IN)
async def show_again(visit: Visit) -> Response:
    """Show the methods of the member."""
    return await _show(visit, safe_path(visit.query("next", "/")))


@pages.post("/sign-in/again", access=SIGNED_IN)
async def enter_password_again(visit: Visit) -> Response:
    """Check the password and a code."""
    form = await visit.form()
    next_path = safe_path(str(form.get("next", "/")))
    try:
        token = await password_sign_in.authenticate_again(
            visit.installation,
            visit.member,
            str(form.get("password", "")),
            str(form.get("code", "")),
        )
    except InvalidInput as error:
        return await _show(visit, next_path, error)
    return session.signed_in(visit, token, visit.member.member_id, next_path)


@pages.post("/sign-in/again/passkey/options", access=SIGNED_IN)
async def begin_passkey_again(visit: Visit) -> Response:
    """Return the options for the browser's dialog."""
    ceremony = await passkey_sign_in.begin(visit.installation, require_party(visit), visit.address, visit.member)
    return passkey_forms.respond_with_options(visit, ceremony)


@pages.post("/sign-in/again/passkey", access=SIGNED_IN)
async def enter_passkey_again(visit: Visit) -> Response:
    """Check a passkey."""
    form = await visit.form()
    next_path = safe_path(str(form.get("next", "/")))
    try:
        token = await passkey_sign_in.authenticate_again(
            visit.installation,
            require_party(visit),
            visit.member,
            visit.cookie(passkey_forms.COOKIE),
            credential_of(form),
        )
    except InvalidInput as error:
        return await _show(visit, next_path, error)
    response = session.signed_in(visit, token, visit.member.member_id, next_path)
    visit.cookies.delete(response, passkey_forms.COOKIE)
    return response


async def _show(visit: Visit, next_path: str, error: InvalidInput | None = None) -> Response:
    async with visit.installation.database.read() as tx:
        present = await methods.find(tx, visit.member.member_id)
    return visit.render(
        "sign_in_again.html",
        status=422 if error else 200,
        title="Confirm that it is you",
        next_path=next_path,
        errors=FormErrors.of(error, ("password", "code")) if error else None,
        methods=present,
        has_passkeys=present.passkeys > 0 and find_party(visit) is not None,
    )
