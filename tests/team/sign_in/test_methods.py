"""The sign-in methods of a member."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import insert, select

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import events, identities, memberships, passwords, sign_in_steps
from one_runtime.errors import InvalidInput, NotFound, RateLimited
from one_runtime.team import dashboard_sessions, members
from one_runtime.team.sign_in import methods, passkey_sign_in
from one_runtime.team.sign_in.methods import LastSignInMethod
from one_runtime.team.sign_in.password_sign_in import SignInRefused
from tests.application import Application
from tests.team.sign_in.members import ADDRESS, PARTY, PASSWORD, SigningMember, count, new_member


async def write(member: SigningMember, change: Callable[[Transaction], Awaitable[None]]) -> None:
    async with member.installation.database.write() as tx:
        await change(tx)


async def test_methods_and_their_times_are_listed(application: Application) -> None:
    member = await new_member(application)
    await new_member(application, "grace@example.com")

    async def find() -> methods.SignInMethods:
        async with application.installation.database.read() as tx:
            return await methods.find(tx, member.id)

    found = await find()
    assert (found.email, found.name, found.is_sufficient) == ("ada@example.com", "Ada Lovelace", False)
    assert (found.password_changed_at, found.totp_created_at, found.passkeys, found.identities) == (None, None, 0, 0)
    await member.set_password()
    assert not (await find()).is_sufficient
    await member.add_totp()
    assert (await find()).is_sufficient
    await member.add_passkey()
    await member.add_passkey()
    found = await find()
    assert found.password_changed_at is not None
    assert found.totp_created_at is not None
    assert found.passkeys == 2
    async with application.installation.database.read() as tx:
        with pytest.raises(NotFound):
            await methods.find(tx, new_id())


async def test_new_password_is_checked_and_ends_other_sessions(application: Application) -> None:
    member = await new_member(application)
    await member.set_password()
    await member.add_totp()
    await member.other_session()
    assert len(await member.sessions()) == 2
    for guessable in ("too short", "Northwind2026", "ada@example.com"):
        with pytest.raises(InvalidInput):
            await member.set_password(guessable)
    assert len(await member.sessions()) == 2
    await member.set_password("eight quiet herons")
    assert await member.sessions() == {member.session_id}
    with pytest.raises(SignInRefused):
        await member.enter_password(PASSWORD)
    await member.enter_password("eight quiet herons")


async def test_each_change_of_a_method_is_an_event_in_each_organization_of_the_member(application: Application) -> None:
    member = await new_member(application)
    southwind = await application.organization("Southwind")
    membership = {"organization_id": southwind, "member_id": member.id, "role": "support"}
    await write(member, lambda tx: tx.execute(insert(memberships), **membership, created_at=application.clock()))  # type: ignore[arg-type, return-value]
    now = application.clock()
    await member.set_password()
    await member.add_totp()
    passkey = await member.add_passkey()
    await member.add_passkey()
    await write(member, lambda tx: methods.remove_passkey(tx, member.owner, passkey.id, now))
    await write(member, lambda tx: methods.remove_totp(tx, member.owner, now))
    await write(member, lambda tx: methods.remove_password(tx, member.owner, now))
    await write(member, lambda tx: members.rename(tx, member.id, "Augusta", now, ADDRESS))
    async with application.installation.database.read() as tx:
        rows = await tx.all(select(events).where(events.c.type == "member.updated").order_by(events.c.id))
    changes = [
        "password", "authenticator_app", "passkeys", "passkeys", "passkeys", "authenticator_app", "password", "name"
    ]  # fmt: skip
    for organization_id in (member.organization_id, southwind):
        recorded = [row for row in rows if row.organization_id == organization_id]
        assert [row.data["changed"] for row in recorded] == [[change] for change in changes]
        assert {(row.actor_type, row.actor_id, row.address) for row in recorded} == {("member", member.id, ADDRESS)}
        assert {row.data["email"] for row in recorded} == {"ada@example.com"}


async def test_ended_session_stores_no_password(application: Application) -> None:
    member = await new_member(application)
    await write(member, lambda tx: dashboard_sessions.end(tx, member.id, member.session_id))
    with pytest.raises(NotFound, match="Your session has ended"):
        await member.set_password()
    assert await count(application, passwords) == 0


@pytest.mark.only_database("postgresql")
async def test_password_waits_for_a_transaction_that_ends_the_session(application: Application) -> None:
    member = await new_member(application)
    async with application.installation.database.write() as tx:
        await dashboard_sessions.end_all(tx, member.id)
        change = asyncio.create_task(member.set_password())
        done, _ = await asyncio.wait({change}, timeout=1)
        assert not done
    with pytest.raises(NotFound, match="Your session has ended"):
        await change
    assert await count(application, passwords) == 0


async def test_last_way_to_sign_in_cannot_be_removed(application: Application) -> None:
    member = await new_member(application)
    await member.set_password()
    await member.add_totp()
    for remove in (methods.remove_password, methods.remove_totp):
        with pytest.raises(LastSignInMethod, match="add another way"):
            await write(member, lambda tx, remove=remove: remove(tx, member.owner, application.clock()))  # type: ignore[misc]
    await member.enter_code(await member.enter_password(), member.code())
    passkey = await member.add_passkey()
    await write(member, lambda tx: methods.remove_totp(tx, member.owner, member.application.clock()))
    with pytest.raises(LastSignInMethod):
        await write(member, lambda tx: methods.remove_passkey(tx, member.owner, passkey.id, member.application.clock()))
    await write(member, lambda tx: methods.remove_password(tx, member.owner, member.application.clock()))
    with pytest.raises(SignInRefused):
        await member.enter_password()
    identity = {"issuer": "https://id.example.com", "subject": "ada", "member_id": member.id}
    await write(member, lambda tx: tx.execute(insert(identities), **identity, created_at=application.clock()))  # type: ignore[arg-type, return-value]
    other = await member.other_session()
    assert other in await member.sessions()
    await write(member, lambda tx: methods.remove_passkey(tx, member.owner, passkey.id, member.application.clock()))
    assert await member.sessions() == {member.session_id}


async def test_two_removals_at_the_same_time_leave_one_method(application: Application) -> None:
    member = await new_member(application)
    keys = [await member.add_passkey() for _ in range(2)]
    removals = (
        write(member, lambda tx, key=key: methods.remove_passkey(tx, member.owner, key.id, member.application.clock()))  # type: ignore[misc]
        for key in keys
    )
    results = await asyncio.gather(*removals, return_exceptions=True)
    assert sorted(str(type(result)) for result in results) == sorted([str(LastSignInMethod), str(type(None))])


async def test_member_can_begin_only_some_steps_in_a_minute(application: Application) -> None:
    """Each step stores a row. All kinds of steps count together."""
    member, other = await new_member(application), await new_member(application, "grace@example.com")
    await member.set_password()
    await member.add_totp()
    await member.add_passkey()
    installation = application.installation
    begins: list[Callable[[], Awaitable[object]]] = [
        lambda: methods.begin_passkey(installation, PARTY, member.id),
        lambda: methods.begin_totp(installation, member.id),
        lambda: passkey_sign_in.begin(installation, PARTY, ADDRESS, member.visitor),
        member.enter_password,
    ]
    for number in range(18):  # the app and the passkey have needed two steps
        await begins[number % len(begins)]()
    before = await count(application, sign_in_steps)
    for begin in begins:
        with pytest.raises(RateLimited):
            await begin()
    assert await count(application, sign_in_steps) == before
    await methods.begin_passkey(installation, PARTY, other.id)
    application.clock.advance(minutes=2)
    for begin in begins:
        await begin()
