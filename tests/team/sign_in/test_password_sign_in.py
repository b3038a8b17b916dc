"""Sign in with a password and a second step."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import dashboard_sessions, passwords, sign_in_attempts, sign_in_steps
from one_runtime.encryption import vault
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.errors import RateLimited
from one_runtime.team.sign_in import attempts, known_browsers, passkey_sign_in, password_sign_in, steps
from one_runtime.team.sign_in.passkeys import PasskeyRefused
from one_runtime.team.sign_in.password_sign_in import SignInRefused
from one_runtime.team.sign_in.steps import SignInStepExpired
from one_runtime.team.sign_in.totp import WrongCode
from tests.application import Application
from tests.team.sign_in.members import ADDRESS, PARTY, PASSWORD, WRONG_CODES, SigningMember, count, new_member

OLD_HASH = "$argon2id$v=19$m=8192,t=1,p=1$"
ELSEWHERE = "198.51.100.9"


async def begin(
    application: Application, email: str, password: str, address: str = ADDRESS, proof: str | None = None
) -> Any:
    return await password_sign_in.begin(application.installation, email, password, address, proof)


async def complete(application: Application) -> SigningMember:
    """Return a member with a password and an authenticator app."""
    member = await new_member(application)
    await member.set_password()
    await member.add_totp()
    return member


async def test_password_and_code_sign_in(application: Application) -> None:
    member = await complete(application)
    step = await begin(application, " Ada@Example.com ", PASSWORD)
    assert (step.accepts_code, step.accepts_passkey) == (True, False)
    assert await password_sign_in.find_second_step(application.installation, step.token.secret) == (True, False)
    assert await member.enter_code(step, member.code()) == member.id
    begun = 2  # the set-up of the app, and this sign-in: `attempts.of_steps`
    assert [await count(application, table) for table in (sign_in_steps, sign_in_attempts)] == [0, begun]


async def test_password_alone_does_not_sign_in(application: Application) -> None:
    member = await new_member(application)
    await member.set_password()
    with pytest.raises(SignInRefused, match="a password alone is not enough"):
        await member.enter_password()
    await member.add_totp()
    step = await member.enter_password()
    for token in (step.token.secret, "orss_nonsense"):
        with pytest.raises(SignInStepExpired):  # the step of a password is no sign-in with a passkey
            await passkey_sign_in.finish(application.installation, PARTY, token, {})


async def test_wrong_and_unknown_accounts_get_the_same_answer_for_the_same_work(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    await complete(application)
    await new_member(application, "grace@example.com")  # without a password
    work = Counter[str]()

    def counting(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def counted(*args: Any, **values: Any) -> Any:
            work[name] += 1
            if name == "verify_password":
                work[args[1].rpartition("$")[0].rpartition("$")[0]] += 1  # the parameters of the hash
            return function(*args, **values)

        monkeypatch.setattr(owner, name, counted)

    for name in ("all", "one", "execute", "execute_many"):
        counting(Transaction, name)
    counting(vault, "verify_password")
    counting(vault, "hash_password")
    results = []
    for email in ("ada@example.com", "grace@example.com", "nobody@example.com"):
        work.clear()
        with pytest.raises(SignInRefused) as caught:
            await begin(application, email, "another password")
        results.append((caught.value.detail, caught.value.errors, dict(work)))
    assert results[0] == results[1] == results[2]
    assert results[0][2]["verify_password"] == 1
    assert "hash_password" not in results[0][2]


async def test_wrong_code_leaves_the_step_and_a_used_code_or_step_is_refused(application: Application) -> None:
    member = await complete(application)
    step = await member.enter_password()
    for code in WRONG_CODES:
        with pytest.raises(WrongCode):
            await member.enter_code(step, code)
    code = member.code()
    await member.enter_code(step, code)
    with pytest.raises(SignInStepExpired):
        await member.enter_code(step, member.code(1))
    again = await member.enter_password()
    with pytest.raises(WrongCode):
        await member.enter_code(again, code)
    application.clock.advance(seconds=steps.LIFETIME.total_seconds())
    with pytest.raises(SignInStepExpired):
        await member.enter_code(again, member.code())
    with pytest.raises(SignInStepExpired):
        await password_sign_in.find_second_step(application.installation, again.token.secret)


async def test_passkey_is_a_second_step_of_its_member_only(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application, "grace@example.com")
    for member in (ada, grace):
        await member.add_passkey()
    await ada.set_password()
    step = await ada.enter_password()
    assert (step.accepts_code, step.accepts_passkey) == (False, True)
    installation, token = application.installation, step.token.secret
    options = await password_sign_in.passkey_options(installation, PARTY, token)
    assert len(options["allowCredentials"]) == 1
    response = grace.authenticator.get(options)
    with pytest.raises(PasskeyRefused):
        await password_sign_in.finish_with_passkey(installation, PARTY, token, response)
    with pytest.raises(WrongCode):
        await ada.enter_code(step, "000000")
    response = ada.authenticator.get(options, user_handle=None)  # an old security key has none
    assert await password_sign_in.finish_with_passkey(installation, PARTY, token, response) == ada.id
    with pytest.raises(SignInStepExpired):
        await password_sign_in.finish_with_passkey(installation, PARTY, token, response)


async def test_attempts_are_limited_by_account_and_by_network(application: Application) -> None:
    member = await complete(application)
    for _ in range(29):
        await attempts.begin(application.installation, attempts.of_account_in_network("ada@example.com", "203.0.113.1"))
    with pytest.raises(SignInRefused):
        await begin(application, "ADA@example.com ", "wrong password", "203.0.113.77")
    with pytest.raises(RateLimited):
        await member.enter_password(address="203.0.113.200")
    await member.enter_password(address=ELSEWHERE)
    for number in range(10):
        with pytest.raises(SignInRefused):
            await begin(application, f"user{number}@example.com", "wrong password", ELSEWHERE)
    with pytest.raises(RateLimited):
        await begin(application, "grace@example.com", "wrong password", "198.51.100.200")
    application.clock.advance(seconds=61)
    await member.enter_password(address=ELSEWHERE)


async def test_known_browser_signs_in_although_strangers_have_used_up_all_attempts(application: Application) -> None:
    """Security L3."""
    application.clock.advance(minutes=-5)  # no window of a limit ends during the test, however slow the machine is
    ada, vault = await complete(application), application.installation.vault
    grace = await new_member(application, "grace@example.com")
    now = application.clock()
    proof = known_browsers.issue(vault, ada.id, now)
    foreign = {
        "no proof": None,
        "another member's": known_browsers.issue(vault, grace.id, now),
        "an unknown person's": known_browsers.issue(vault, "", now),
        "another key's": known_browsers.issue(Vault(parse_keys(new_key())), ada.id, now),
        "old": known_browsers.issue(vault, ada.id, now - known_browsers.LIFETIME),
        "changed": proof[:3] + ("A" if proof[3] != "A" else "B") + proof[4:],
        "short": proof[:-4],
        "no text of base64": "\u20ac",
    }
    for bucket in (attempts.of_account("ada@example.com"), attempts.of_network(ADDRESS)):
        for _ in range(bucket.limit):
            await attempts.begin(application.installation, bucket)
    for other in foreign.values():
        with pytest.raises(RateLimited):
            await begin(application, "ada@example.com", PASSWORD, proof=other)
    for _ in range(9):
        with pytest.raises(SignInRefused):
            await begin(application, "ada@example.com", "wrong password", proof=proof)
    step = await begin(application, " Ada@example.com", PASSWORD, proof=proof)
    await begin(application, "ada@example.com", PASSWORD, proof=known_browsers.issue(vault, ada.id, now))
    with pytest.raises(SignInRefused):
        await begin(application, "ada@example.com", "wrong password", proof=proof)
    with pytest.raises(RateLimited):
        await begin(application, "ada@example.com", PASSWORD, proof=proof)
    assert step.accepts_code


async def test_strangers_do_not_keep_a_signed_in_member_from_confirming_the_password(application: Application) -> None:
    ada = await complete(application)
    for bucket in (attempts.of_account("ada@example.com"), attempts.of_network(ADDRESS)):
        for _ in range(bucket.limit):
            await attempts.begin(application.installation, bucket)
    again = password_sign_in.authenticate_again
    for _ in range(10):
        with pytest.raises(SignInRefused):
            await again(application.installation, ada.visitor, "wrong password", ada.code())
    with pytest.raises(RateLimited):
        await again(application.installation, ada.visitor, PASSWORD, ada.code())
    application.clock.advance(seconds=61)
    assert (await again(application.installation, ada.visitor, PASSWORD, ada.code())).secret


async def test_wrong_codes_are_limited_although_the_password_is_correct(application: Application) -> None:
    member = await complete(application)
    for _ in range(5):
        step = await member.enter_password()
        for _ in range(2):
            with pytest.raises(WrongCode):
                await member.enter_code(step, "000000")
        application.clock.advance(seconds=30)
    step = await member.enter_password()
    with pytest.raises(RateLimited):
        await member.enter_code(step, member.code())
    application.clock.advance(hours=1)
    await member.enter_code(await member.enter_password(), member.code())


async def test_hash_with_old_parameters_is_replaced_at_the_next_sign_in(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await complete(application)
    with monkeypatch.context() as patch:
        for name, value in (("_MEMORY_KIB", 8192), ("_PASSES", 1)):
            patch.setattr(vault, name, value)
        old = vault.hash_password(PASSWORD.encode())
    assert old.startswith(OLD_HASH)
    async with application.installation.database.write() as tx:
        await tx.execute(update(passwords).values(phc=old))
    with pytest.raises(SignInRefused):
        await begin(application, "ada@example.com", "wrong password")
    assert await stored_hash(application) == old
    await member.enter_password()
    new = await stored_hash(application)
    assert new.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await member.enter_password()
    assert await stored_hash(application) == new


async def stored_hash(application: Application) -> str:
    async with application.installation.database.read() as tx:
        row = await tx.one(select(passwords.c.phc))
    assert row is not None
    return str(row.phc)


async def test_password_and_code_confirm_an_action(application: Application) -> None:
    member = await complete(application)
    application.clock.advance(hours=1)

    async def confirm(password: str, code: str) -> None:
        installation = application.installation
        await password_sign_in.authenticate_again(installation, member.visitor, password, code)

    before = await authenticated_at(application)
    with pytest.raises(SignInRefused):
        await confirm("wrong password", member.code())
    with pytest.raises(WrongCode):
        await confirm(PASSWORD, "000000")
    assert await authenticated_at(application) == before
    await confirm(PASSWORD, member.code())
    assert await authenticated_at(application) > before
    with pytest.raises(WrongCode):
        await confirm(PASSWORD, member.code())
    application.clock.advance(minutes=2)
    for _ in range(10):  # a stolen session cannot block the codes of the member
        with pytest.raises(SignInRefused):
            await confirm("wrong password", member.code())
    application.clock.advance(minutes=2)
    await confirm(PASSWORD, member.code())


async def authenticated_at(application: Application) -> Any:
    async with application.installation.database.read() as tx:
        row = await tx.one(select(dashboard_sessions.c.authenticated_at))
    assert row is not None
    return row.authenticated_at
