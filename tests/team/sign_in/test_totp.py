"""Codes of authenticator apps."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import pytest
from sqlalchemy import select

from one_runtime.db.schema import totp_secrets
from one_runtime.encryption.vault import SealBroken, SealContext, Sealed
from one_runtime.errors import RateLimited
from one_runtime.team.sign_in import methods, totp
from one_runtime.team.sign_in.steps import SignInStepExpired
from one_runtime.team.sign_in.totp import WrongCode
from one_runtime.tenancy.organizations import INSTANCE
from tests.application import Application
from tests.team.sign_in.members import WRONG_CODES, SigningMember, new_member


@pytest.mark.parametrize(
    "seconds, code",
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    """The test vectors of RFC 6238, appendix B, for SHA-1."""
    assert totp.code_of(b"12345678901234567890", seconds // totp.PERIOD, digits=8) == code
    assert totp.code_of(b"12345678901234567890", seconds // totp.PERIOD) == code[2:]


async def verify(member: SigningMember, code: str) -> None:
    async with member.installation.database.write() as tx:
        await totp.verify(tx, member.installation.vault, member.id, code, member.application.clock())


async def stored(application: Application) -> Any:
    async with application.installation.database.read() as tx:
        return await tx.one(select(totp_secrets))


async def test_set_up_shows_the_secret_and_stores_it_sealed_after_a_code(application: Application) -> None:
    member = await new_member(application, "ada+one@example.com")
    installation = application.installation
    token = (await methods.begin_totp(installation, member.id)).secret
    set_up = await methods.find_totp_set_up(installation, member.id, token, "One Runtime (example)")
    assert set_up == await methods.find_totp_set_up(installation, member.id, token, "One Runtime (example)")
    assert set_up.key not in repr(set_up)
    url = urlsplit(set_up.url)
    assert (url.scheme, url.netloc, unquote(url.path)) == (
        "otpauth", "totp", "/One Runtime (example):ada+one@example.com"
    )  # fmt: skip
    assert parse_qs(url.query) == {
        "secret": [set_up.key], "issuer": ["One Runtime (example)"], "algorithm": ["SHA1"], "digits": ["6"],
        "period": ["30"],
    }  # fmt: skip
    assert "+" not in url.query
    picture = unquote(totp.draw_qr_code(set_up)).removeprefix("data:image/svg+xml;charset=utf-8,")
    root = ElementTree.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not {"style", "onload"} & {name for element in root.iter() for name in element.attrib}
    member.secret = base64.b32decode(set_up.key)
    assert len(member.secret) == 20
    for code in WRONG_CODES:
        with pytest.raises(WrongCode):
            await methods.add_totp(installation, member.owner, token, code)
        assert await stored(application) is None
    code = member.code()
    await methods.add_totp(installation, member.owner, token, f" {code[:3]} {code[3:]}")
    row = await stored(application)
    assert member.secret not in row.sealed
    place = SealContext("totp_secrets", member.id, row.version)
    opened = json.loads(installation.vault.open(INSTANCE, Sealed(row.key_id, row.sealed), place))
    assert opened == {"secret": set_up.key}
    with pytest.raises(SignInStepExpired):
        await methods.add_totp(installation, member.owner, token, member.code(1))
    with pytest.raises(WrongCode):  # the code of the set-up
        await verify(member, code)


async def test_set_up_with_a_wrong_clock_names_the_difference(application: Application) -> None:
    member = await new_member(application)
    token = (await methods.begin_totp(application.installation, member.id)).secret
    set_up = await methods.find_totp_set_up(application.installation, member.id, token, "One Runtime")
    member.secret = base64.b32decode(set_up.key)
    for periods, difference in (
        (-14, "differ by 7 minutes"),
        (120, "differ by 60 minutes"),
        (2, r"differ by 1 minute\."),
    ):
        with pytest.raises(WrongCode, match=difference):
            await methods.add_totp(application.installation, member.owner, token, member.code(periods))
    with pytest.raises(WrongCode, match="check the clock of the device"):
        await methods.add_totp(application.installation, member.owner, token, member.code(123))
    await methods.add_totp(application.installation, member.owner, token, member.code())
    with pytest.raises(WrongCode) as refused:  # nothing says that this code becomes valid in a minute
        await verify(member, member.code(3))
    assert "differ" not in refused.value.detail


async def test_step_of_a_set_up_expires_and_belongs_to_its_member(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application, "grace@example.com")
    installation = application.installation
    token = (await methods.begin_totp(installation, ada.id)).secret
    with pytest.raises(SignInStepExpired):
        await methods.find_totp_set_up(installation, grace.id, token, "One Runtime")
    set_up = await methods.find_totp_set_up(installation, ada.id, token, "One Runtime")
    ada.secret = base64.b32decode(set_up.key)
    with pytest.raises(SignInStepExpired):
        await methods.add_totp(installation, grace.owner, token, ada.code())
    application.clock.advance(seconds=totp.SET_UP_LIFETIME.total_seconds())
    with pytest.raises(SignInStepExpired):
        await methods.add_totp(installation, ada.owner, token, ada.code())
    assert await stored(application) is None


async def test_code_works_once_and_in_the_neighbouring_periods_only(application: Application) -> None:
    member = await new_member(application)
    await member.add_totp()
    application.clock.advance(seconds=3 * totp.PERIOD)
    for periods in (-2, 2):
        with pytest.raises(WrongCode):
            await verify(member, member.code(periods))
    for code in WRONG_CODES:
        with pytest.raises(WrongCode):
            await verify(member, code)
    for periods in (-1, 0, 1):
        await verify(member, member.code(periods))
        with pytest.raises(WrongCode):
            await verify(member, member.code(periods))
    with pytest.raises(WrongCode):  # of an earlier period than the last accepted code
        await verify(member, member.code(0))


async def test_two_processes_accept_a_code_once(application: Application) -> None:
    member = await new_member(application)
    await member.add_totp()
    results = await asyncio.gather(*(verify(member, member.code()) for _ in range(4)), return_exceptions=True)
    assert [type(result) for result in results if result] == [WrongCode] * 3


async def test_new_secret_replaces_the_present_one_and_ends_other_sessions(application: Application) -> None:
    member = await new_member(application)
    await member.add_totp()
    other = await member.other_session()
    assert other in await member.sessions()
    first = member.secret
    await member.add_totp()
    assert member.secret != first
    assert await member.sessions() == {member.session_id}
    assert (await stored(application)).version == 2
    with pytest.raises(WrongCode):
        await verify(member, totp.code_of(first, int(application.clock().timestamp()) // totp.PERIOD + 1))
    await verify(member, member.code())


async def test_moved_secret_is_not_opened(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application, "grace@example.com")
    await ada.add_totp()
    await grace.add_totp()
    async with application.installation.database.write() as tx:
        rows = {row.member_id: row for row in await tx.all(select(totp_secrets))}
        await tx.execute(
            totp_secrets.update().where(totp_secrets.c.member_id == ada.id).values(sealed=rows[grace.id].sealed)
        )
    with pytest.raises(SealBroken):
        await verify(ada, grace.code())


async def test_wrong_codes_are_limited(application: Application) -> None:
    member = await new_member(application)
    token = (await methods.begin_totp(application.installation, member.id)).secret
    for _ in range(10):
        with pytest.raises(WrongCode):
            await methods.add_totp(application.installation, member.owner, token, "000000")
    with pytest.raises(RateLimited) as caught:
        await methods.add_totp(application.installation, member.owner, token, "000000")
    assert 3500 < caught.value.retry_after <= 3600
