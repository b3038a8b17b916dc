"""Passkeys, with a software authenticator."""

import asyncio
import copy
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fido2.cose import ES384, RS1
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AuthenticatorData
from sqlalchemy import select

from one_runtime.db.ids import new_id
from one_runtime.db.schema import dashboard_sessions, sign_in_steps
from one_runtime.db.schema import passkeys as rows
from one_runtime.errors import Conflict, InvalidInput, NotFound
from one_runtime.team.sign_in import methods, passkey_sign_in, passkeys
from one_runtime.team.sign_in.methods import AccountOwner
from one_runtime.team.sign_in.passkeys import MAX_NAME, MOST_PASSKEYS, NewPasskey, PasskeyRefused, RelyingParty
from one_runtime.team.sign_in.steps import SignInStepExpired
from tests.application import Application
from tests.team.sign_in.authenticator import FLAG, Authenticator
from tests.team.sign_in.members import ADDRESS, ORIGIN, PARTY, SigningMember, count, new_member


async def list_all(member: SigningMember) -> list[passkeys.Passkey]:
    async with member.installation.database.read() as tx:
        return await passkeys.list_all(tx, member.id)


@pytest.mark.parametrize(
    "url, party",
    [
        ("https://dashboard.example.com", ("dashboard.example.com", "https://dashboard.example.com")),
        ("https://dashboard.example.com:8443", ("dashboard.example.com", "https://dashboard.example.com:8443")),
        ("http://localhost:8003", ("localhost", "http://localhost:8003")),
        ("http://127.0.0.1:8003", None),
        ("https://192.0.2.1", None),
        ("https://[::1]:8003", None),
        ("http://dashboard.internal", None),
    ],
)
def test_browsers_offer_passkeys_for_host_names_with_https_and_for_localhost(
    url: str, party: tuple[str, str] | None
) -> None:
    assert RelyingParty.of_url(url) == (RelyingParty(*party) if party else None)


async def test_registered_passkey_signs_in_without_an_account_name(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application, "grace@example.com")
    for member in (ada, grace):
        await member.add_passkey()
    for member in (grace, ada):
        assert await member.use_passkey() == member.id
        (passkey,) = await list_all(member)
        assert passkey.name == "Laptop"
        assert passkey.last_used_at is not None
    assert await count(application, sign_in_steps) == 0


async def test_options_ask_for_a_discoverable_passkey_with_user_verification(application: Application) -> None:
    member = await new_member(application)
    await member.add_passkey()
    ceremony = await methods.begin_passkey(application.installation, PARTY, member.id)
    options = json.loads(json.dumps(ceremony.options))
    assert options["rp"] == {"id": "dashboard.example.com", "name": "One Runtime"}
    assert options["user"]["name"] == "ada@example.com"
    assert options["user"]["displayName"] == "Ada Lovelace"
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"] == {
        "residentKey": "required", "requireResidentKey": True, "userVerification": "required"
    }  # fmt: skip
    assert [parameter["alg"] for parameter in options["pubKeyCredParams"]] == [-7, -8, -257]
    (excluded,) = options["excludeCredentials"]
    assert websafe_decode(excluded["id"]) == member.authenticator.keys[0].credential_id
    assert excluded["transports"] == ["hybrid", "internal"]
    request = (await passkey_sign_in.begin(application.installation, PARTY, ADDRESS)).options
    assert request["userVerification"] == "required"
    assert "allowCredentials" not in request
    async with application.installation.database.read() as tx:
        steps = [str(tuple(row)) for row in await tx.all(select(sign_in_steps))]
    assert len(steps) == 2
    for challenge in (options["challenge"], request["challenge"]):
        assert len(websafe_decode(challenge)) == 32
        assert not any(challenge in row or str(websafe_decode(challenge)) in row for row in steps)


FORGED_REGISTRATIONS: dict[str, Any] = {
    "origin": {"origin": "https://dashboard.example.com.evil.example"},
    "origin of another port": {"origin": f"{ORIGIN}:8443"},
    "challenge": {"challenge": websafe_encode(b"x" * 32)},
    "type": {"type": "webauthn.get"},
    "relying party": {"rp_id": "evil.example"},
    "frame of another site": {"cross_origin": True},
    "algorithm that was not offered": {
        "public_key": ES384.from_cryptography_key(ec.generate_private_key(ec.SECP384R1()).public_key())  # type: ignore[no-untyped-call]
    },
    "algorithm with SHA-1": {
        "public_key": RS1.from_cryptography_key(rsa.generate_private_key(65537, 2048).public_key())  # type: ignore[no-untyped-call]
    },
}


async def test_forged_registrations_are_refused(application: Application) -> None:
    member = await new_member(application)
    for name, changes in FORGED_REGISTRATIONS.items():
        ceremony = await methods.begin_passkey(application.installation, PARTY, member.id)
        response = member.authenticator.create(ceremony.options, **changes)
        with pytest.raises(PasskeyRefused):
            await methods.add_passkey(
                application.installation, PARTY, member.owner, ceremony.token.secret, NewPasskey(response, name)
            )
    for flags in (FLAG.UP, FLAG.UV, AuthenticatorData.FLAG(0)):
        member.authenticator.flags = flags
        with pytest.raises(PasskeyRefused):
            await member.add_passkey()
    assert await count(application, rows) == 0


FORGED_SIGN_INS: dict[str, Any] = {
    "origin": {"origin": "https://evil.example"},
    "challenge": {"challenge": websafe_encode(b"x" * 32)},
    "type": {"type": "webauthn.create"},
    "relying party": {"rp_id": "evil.example"},
    "frame of another site": {"cross_origin": True},
    "no user handle": {"user_handle": None},
    "user handle of another member": {"user_handle": b"x" * 16},
}


async def test_forged_sign_ins_are_refused(application: Application) -> None:
    member = await new_member(application)
    await member.add_passkey()
    for changes in FORGED_SIGN_INS.values():
        with pytest.raises(PasskeyRefused):
            await member.use_passkey(**changes)
    for flags in (FLAG.UP, FLAG.UV, AuthenticatorData.FLAG(0)):
        member.authenticator.flags = flags
        with pytest.raises(PasskeyRefused):
            await member.use_passkey()
    member.authenticator = Authenticator(ORIGIN, keys=member.authenticator.keys)
    await member.use_passkey()  # although ten attempts of the network have failed (security L3)
    unknown = copy.copy(member.authenticator.keys[0])
    unknown.credential_id = b"y" * 32
    with pytest.raises(PasskeyRefused, match="not registered here"):
        await member.use_passkey(key=unknown)
    stolen = copy.copy(member.authenticator.keys[0])
    stolen.key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(PasskeyRefused):
        await member.use_passkey(key=stolen)
    await member.use_passkey(key=member.authenticator.keys[0])


async def test_step_works_once_for_its_member_and_its_purpose(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application, "grace@example.com")
    installation = application.installation
    ceremony = await methods.begin_passkey(installation, PARTY, ada.id)
    token, response = ceremony.token.secret, ada.authenticator.create(ceremony.options)
    with pytest.raises(SignInStepExpired):  # of another member
        await methods.add_passkey(installation, PARTY, grace.owner, token, NewPasskey(response, "Phone"))
    with pytest.raises(SignInStepExpired):  # a registration does not sign in
        await passkey_sign_in.finish(installation, PARTY, token, response)
    await methods.add_passkey(installation, PARTY, ada.owner, token, NewPasskey(response, "Phone"))
    with pytest.raises(SignInStepExpired):
        await methods.add_passkey(installation, PARTY, ada.owner, token, NewPasskey(response, "Phone"))

    ceremony = await passkey_sign_in.begin(installation, PARTY, ADDRESS)
    token, response = ceremony.token.secret, ada.authenticator.get(ceremony.options)
    finish = (passkey_sign_in.finish(installation, PARTY, token, response) for _ in range(3))
    results = await asyncio.gather(*finish, return_exceptions=True)
    assert sum(isinstance(result, SignInStepExpired) for result in results) == 2
    ceremony = await passkey_sign_in.begin(installation, PARTY, ADDRESS)
    with pytest.raises(PasskeyRefused):  # the response to another challenge
        await passkey_sign_in.finish(installation, PARTY, ceremony.token.secret, response)
    response = ada.authenticator.get(ceremony.options)
    application.clock.advance(minutes=5)
    with pytest.raises(SignInStepExpired):
        await passkey_sign_in.finish(installation, PARTY, ceremony.token.secret, response)


async def test_counter_that_goes_back_is_refused(application: Application) -> None:
    member = await new_member(application)
    await member.add_passkey()
    for _ in range(2):  # a synchronized passkey always reports zero
        await member.use_passkey()
    member.authenticator.counts = True
    await member.use_passkey()
    await member.use_passkey()
    member.authenticator.counts = False
    for counter in (2, 1, 0):
        member.authenticator.keys[0].counter = counter
        with pytest.raises(PasskeyRefused, match="counter of this passkey went back"):
            await member.use_passkey()
    member.authenticator.keys[0].counter = 3
    await member.use_passkey()


async def test_passkey_confirms_an_action_of_its_member_only(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application, "grace@example.com")
    installation = application.installation
    for member in (ada, grace):
        await member.add_passkey()
    application.clock.advance(hours=1)
    ceremony = await passkey_sign_in.begin(installation, PARTY, ADDRESS, ada.visitor)
    token, options = ceremony.token.secret, ceremony.options
    response = grace.authenticator.get(options)
    with pytest.raises(PasskeyRefused):
        await passkey_sign_in.authenticate_again(installation, PARTY, ada.visitor, token, response)
    response = ada.authenticator.get(options)
    with pytest.raises(SignInStepExpired):
        await passkey_sign_in.authenticate_again(installation, PARTY, grace.visitor, token, response)
    with pytest.raises(SignInStepExpired):  # creates no session
        await passkey_sign_in.finish(installation, PARTY, token, response)
    await passkey_sign_in.authenticate_again(installation, PARTY, ada.visitor, token, response)
    async with installation.database.read() as tx:
        times = {row.member_id: row.authenticated_at for row in await tx.all(select(dashboard_sessions))}
    assert times[ada.id] > times[grace.id]


async def test_names_removal_and_limit(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application, "grace@example.com")
    installation = application.installation
    first = await ada.add_passkey("  ")
    assert first.name == "Passkey"
    second = await ada.add_passkey("Phone")
    for name, problem in (("x" * (MAX_NAME + 1), "at most 100"), ("a\u202eb", "direction"), ("\u3164", "visible")):
        with pytest.raises(InvalidInput, match=problem):
            await ada.add_passkey(name)
    async with installation.database.write() as tx:
        await passkeys.rename(tx, ada.id, first.id, " Key ")
        for member, passkey_id in ((grace.id, first.id), (ada.id, "nonsense"), (ada.id, new_id())):
            with pytest.raises(NotFound):
                await passkeys.rename(tx, member, passkey_id, "Mine")
            with pytest.raises(NotFound):
                await methods.remove_passkey(
                    tx, AccountOwner(member, ada.session_id, None), passkey_id, application.clock()
                )
    assert [passkey.name for passkey in await list_all(ada)] == ["Key", "Phone"]
    async with installation.database.write() as tx:
        await methods.remove_passkey(tx, ada.owner, second.id, ada.application.clock())
    with pytest.raises(PasskeyRefused, match="not registered here"):
        await ada.use_passkey(key=ada.authenticator.keys[1])
    application.clock.advance(minutes=2)  # a member can begin 20 registrations in a minute
    for _ in range(MOST_PASSKEYS - 1):
        await ada.add_passkey()
    with pytest.raises(Conflict, match="maximum"):
        await ada.add_passkey()


async def test_public_id_of_another_members_passkey_is_not_registered_again(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application, "grace@example.com")
    ceremonies = [await methods.begin_passkey(application.installation, PARTY, m.id) for m in (ada, grace)]
    response = ada.authenticator.create(ceremonies[0].options)
    await methods.add_passkey(
        application.installation, PARTY, ada.owner, ceremonies[0].token.secret, NewPasskey(response, "Laptop")
    )
    grace.authenticator.keys = ada.authenticator.keys
    client_data = grace.authenticator.create(ceremonies[1].options)["response"]["clientDataJSON"]
    response["response"]["clientDataJSON"] = client_data
    with pytest.raises(PasskeyRefused, match="already registered"):
        await methods.add_passkey(
            application.installation, PARTY, grace.owner, ceremonies[1].token.secret, NewPasskey(response, "Laptop")
        )


MISSING = object()
MALFORMED: tuple[Any, ...] = (
    None, [], "text", {}, {"id": 1}, {"id": "a", "rawId": "a", "response": {}}, {"rawId": "YQ", "response": []},
    {"id": "YQ", "rawId": "YQ", "type": "public-key", "response": {"clientDataJSON": "YQ", "attestationObject": "YQ"}},
)  # fmt: skip


async def test_malformed_responses_are_refused(application: Application) -> None:
    member = await new_member(application)
    installation = application.installation
    registration = await methods.begin_passkey(installation, PARTY, member.id)
    created = member.authenticator.create(registration.options)
    await methods.add_passkey(
        installation, PARTY, member.owner, registration.token.secret, NewPasskey(created, "Laptop")
    )
    registration = await methods.begin_passkey(installation, PARTY, member.id)
    sign_in = await passkey_sign_in.begin(installation, PARTY, ADDRESS)
    answered = member.authenticator.get((await passkey_sign_in.begin(installation, PARTY, ADDRESS)).options)
    nested = websafe_encode(b"\x81" * 5000 + b"\x00")
    for response in (*MALFORMED, *broken(created, nested), *broken(answered, nested)):
        with pytest.raises(PasskeyRefused):
            await methods.add_passkey(
                installation, PARTY, member.owner, registration.token.secret, NewPasskey(response, "Laptop")
            )
        async with installation.database.write() as tx:
            with pytest.raises(PasskeyRefused):
                await passkeys.verify(tx, PARTY, sign_in.token.secret, response, application.clock())
    assert await count(application, rows) == 1


def broken(response: dict[str, Any], nested: str) -> list[dict[str, Any]]:
    """Return copies of a response in which one value is missing, of another type, empty, cut, or deeply nested."""
    inner = response["response"]
    outer_values = [
        (name, value) for name in ("id", "rawId", "type", "response") for value in (MISSING, None, 7, "", "!")
    ]
    inner_values = [
        (name, value)
        for name, good in inner.items()
        for value in (MISSING, None, 7, "", "!", nested, good[:-8], good[:40])
    ]
    copies = [with_value(response, name, value) for name, value in outer_values]
    return copies + [{**response, "response": with_value(inner, name, value)} for name, value in inner_values]


def with_value(mapping: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    changed = {**mapping, name: value}
    return {key: each for key, each in changed.items() if each is not MISSING}
