"""Sign in with a passkey alone, or confirm with a passkey before a sensitive action."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from one_runtime.context import Installation
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.team import dashboard_sessions
from one_runtime.team.dashboard_sessions import Visitor
from one_runtime.team.sign_in import attempts, passkeys, steps
from one_runtime.team.sign_in.passkeys import RelyingParty
from one_runtime.team.sign_in.steps import SignInStep


class PasskeyCeremony(NamedTuple):
    """The token for the browser's cookie, and the options for `navigator.credentials`, as JSON."""

    token: SecretToken
    options: Mapping[str, Any]


async def begin(
    installation: Installation, party: RelyingParty, address: str | None, visitor: Visitor | None = None
) -> PasskeyCeremony:
    """Begin a sign-in with a passkey. `visitor`: the signed-in member who confirms an action, or None.

    Raises: RateLimited.
    """
    member_id = visitor.member_id if visitor is not None else None
    limits = (attempts.of_challenges(address), *((attempts.of_steps(member_id),) if member_id is not None else ()))
    await attempts.begin(installation, *limits)
    async with installation.database.write() as tx:
        token = await steps.begin(tx, "passkey", SignInStep(member_id), installation.clock())
        return PasskeyCeremony(token, await passkeys.sign_in_options(tx, party, token.secret, member_id))


async def finish(installation: Installation, party: RelyingParty, token: str, response: object) -> str:
    """Check the passkey. Return the id of its member. Raises: PasskeyRefused; SignInStepExpired.

    A signature cannot be guessed. So no limit counts failures, and strangers cannot use up a member's attempts.
    """
    async with installation.database.write() as tx:
        now = installation.clock()
        step = await steps.use(tx, "passkey", token, now)
        if step.member_id is not None:  # the step confirms an action, and creates no session
            raise steps.expired()
        return await passkeys.verify(tx, party, token, response, now)


async def authenticate_again(
    installation: Installation, party: RelyingParty, visitor: Visitor, token: str, response: object
) -> SecretToken:
    """Check a passkey of a signed-in member, before a sensitive action. Return the session's new token.

    Raises: PasskeyRefused; SignInStepExpired.
    """
    async with installation.database.write() as tx:
        now = installation.clock()
        step = await steps.use(tx, "passkey", token, now)
        if step.member_id != visitor.member_id:
            raise steps.expired()
        await passkeys.verify(tx, party, token, response, now, visitor.member_id)
        return await dashboard_sessions.renew(tx, visitor.session_id, now)
