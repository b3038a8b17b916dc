"""Register and verify passkeys (Web Authentication). Only this module imports `fido2`.

A challenge is derived from the token of a sign-in step, and the database stores only the hash of the token. So each
challenge belongs to one browser and works once.
"""

import hashlib
import logging
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from fido2 import cbor
from fido2.cose import ES256, RS256, CoseKey, EdDSA
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from sqlalchemy import bindparam, delete, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import passkeys as rows
from one_runtime.db.upsert import insert
from one_runtime.errors import Conflict, InvalidInput, NotFound
from one_runtime.telemetry.logger import Logger
from one_runtime.validation.names import name_problem, text_problem

MOST_PASSKEYS: Final = 20
"""Maximum number of passkeys of a member."""
MAX_NAME: Final = 100
ALGORITHMS: Final = (ES256, EdDSA, RS256)
"""The algorithms that all authenticators have, and that Web Authentication recommends to offer."""

_SERVICE: Final = "One Runtime"
_MAX_CREDENTIAL_ID: Final = 1023  # Web Authentication Level 3, section 4
_REFUSED: Final = "The passkey was not accepted. Try again, or use another way to sign in."
_UNKNOWN: Final = "This passkey is not registered here. Remove it from your device, or use another way to sign in."
_COPIED: Final = (
    "The counter of this passkey went back, so the passkey could be a copy. Sign in another way, remove the passkey "
    "from your account, and register it again."
)
# The errors of fido2 and of its parsers for values that are not well-formed.
_MALFORMED: Final = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error, RecursionError, NotImplementedError
)  # fmt: skip

_log: Final = Logger()
logging.getLogger("fido2").setLevel(logging.WARNING)  # it writes a line for each registration and sign-in


class PasskeyRefused(InvalidInput):
    """A browser's response with a passkey is not valid."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The dashboard, as browsers know it. `id`: its host name. `origin`: scheme, host and port."""

    id: str
    origin: str

    @classmethod
    def of_url(cls, url: str) -> "RelyingParty | None":
        """Return the relying party for the dashboard's URL. Return None if browsers offer no passkeys there.

        Browsers offer passkeys for host names with https, and for `localhost`. They offer none for IP addresses.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_local = host == "localhost" or host.endswith(".localhost")
        if _is_address(host) or (parts.scheme != "https" and not is_local):
            return None
        return cls(host, f"{parts.scheme}://{parts.netloc}")


class PasskeyOwner(NamedTuple):
    """The member who registers a passkey. Devices show the e-mail address and the name."""

    member_id: str
    email: str
    name: str | None


class NewPasskey(NamedTuple):
    """A passkey to register. `response`: the parsed JSON of the browser. `name`: an empty text for the default name."""

    response: object
    name: str


@dataclass(frozen=True, slots=True)
class Passkey:
    """A registered passkey of a member."""

    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


class _DescriptorRow(NamedTuple):
    credential_id: bytes
    transports: list[str]


class _PasskeyRow(NamedTuple):
    id: str
    member_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int


_MINE = rows.c.member_id == bindparam("member")
_LIST = select(*(rows.c[name] for name in Passkey.__dataclass_fields__)).where(_MINE).order_by(rows.c.id)
_DESCRIBE = select(rows.c.credential_id, rows.c.transports).where(_MINE).order_by(rows.c.id)
_FIND = select(*(rows.c[name] for name in _PasskeyRow._fields)).where(rows.c.credential_id == bindparam("credential"))
_INSERT = insert(rows).on_conflict_do_nothing()
_USE = (
    update(rows)
    .where(rows.c.id == bindparam("passkey"), rows.c.sign_count == bindparam("read_count"))
    .values(sign_count=bindparam("new_count"), last_used_at=bindparam("now"))
)
_RENAME = update(rows).where(_MINE, rows.c.id == bindparam("passkey")).values(name=bindparam("new_name"))
_DELETE = delete(rows).where(_MINE, rows.c.id == bindparam("passkey"))


async def list_all(tx: Transaction, member_id: str) -> list[Passkey]:
    """Return the passkeys of a member. The oldest passkey is first."""
    return await tx.all(_LIST, Passkey, member=member_id)


async def registration_options(
    tx: Transaction, party: RelyingParty, owner: PasskeyOwner, token: str
) -> Mapping[str, Any]:
    """Return the options for `navigator.credentials.create`, as JSON. `token`: of the step `register_passkey`.

    Raises: Conflict if the member has too many passkeys.
    """
    present = await tx.all(_DESCRIBE, _DescriptorRow, member=owner.member_id)
    if len(present) >= MOST_PASSKEYS:
        raise Conflict(f"You have {MOST_PASSKEYS} passkeys, which is the maximum. Remove a passkey first.")
    user = PublicKeyCredentialUserEntity(
        id=UUID(owner.member_id).bytes, name=owner.email, display_name=owner.name or owner.email
    )
    options, _ = _server(party).register_begin(
        user,
        _descriptors(present),
        ResidentKeyRequirement.REQUIRED,
        UserVerificationRequirement.REQUIRED,
        challenge=_challenge(token),
    )
    return dict(options.public_key)


async def sign_in_options(
    tx: Transaction, party: RelyingParty, token: str, member_id: str | None = None
) -> Mapping[str, Any]:
    """Return the options for `navigator.credentials.get`, as JSON. `token`: of the step that the passkey completes.

    `member_id`: None to let the browser offer every passkey of this site.
    """
    present = await tx.all(_DESCRIBE, _DescriptorRow, member=member_id) if member_id else []
    options, _ = _server(party).authenticate_begin(
        _descriptors(present) if member_id else None, UserVerificationRequirement.REQUIRED, challenge=_challenge(token)
    )
    return dict(options.public_key)


async def register(
    tx: Transaction,
    party: RelyingParty,
    member_id: str,
    token: str,
    new: NewPasskey,
    now: datetime,
) -> Passkey:
    """Verify a browser's new passkey, and store it. `token`: of the consumed step.

    Raises: PasskeyRefused; InvalidInput for the name.
    """
    name = _clean_name(new.name)
    try:
        registration = RegistrationResponse.from_dict(_mapping(new.response))
        _require(not registration.response.client_data.cross_origin, "frame of another site")
        data = _server(party).register_complete(_state(token), registration).credential_data
        _require(data is not None, "no credential data")
        assert data is not None  # noqa: S101 - `_require` has checked it
        _require(len(data.credential_id) <= _MAX_CREDENTIAL_ID, "long credential id")
        _require(registration.raw_id == data.credential_id, "credential id differs from the raw id")
        _require(isinstance(data.public_key, ALGORITHMS), "algorithm was not offered")
        transports = _transports(new.response)
    except _MALFORMED as error:
        raise _refuse("registration", error) from error
    passkey = Passkey(new_id(), name, now, None)
    stored = await tx.execute(
        _INSERT,
        id=passkey.id,
        member_id=member_id,
        credential_id=data.credential_id,
        public_key=cbor.encode(data.public_key),
        sign_count=registration.response.attestation_object.auth_data.counter,
        transports=transports,
        name=name,
        created_at=now,
        last_used_at=None,
    )
    if not stored:  # an attacker registers the public id of another member's passkey
        raise PasskeyRefused("This passkey is already registered. Use another device.")
    return passkey


async def verify(
    tx: Transaction, party: RelyingParty, token: str, response: object, now: datetime, member_id: str | None = None
) -> str:
    """Verify a browser's response with a passkey. Return the id of the passkey's member.

    `token`: of the consumed step. `response`: parsed JSON. `member_id`: the only member whose passkeys are accepted, or
    None to accept every passkey that names its member.

    Raises: PasskeyRefused.
    """
    try:
        answer = AuthenticationResponse.from_dict(_mapping(response))
        row = await tx.one(_FIND, _PasskeyRow, credential=answer.raw_id)
    except _MALFORMED as error:
        raise _refuse("sign-in", error) from error
    if row is None or member_id not in {None, row.member_id}:
        raise PasskeyRefused(_UNKNOWN)
    try:
        handle, counter = answer.response.user_handle, answer.response.authenticator_data.counter
        _require(handle == UUID(row.member_id).bytes or (member_id is not None and not handle), "wrong user handle")
        _require(not answer.response.client_data.cross_origin, "frame of another site")
        key = CoseKey.parse(_mapping(cbor.decode(row.public_key)))
        credential = AttestedCredentialData.create(Aaguid.NONE, row.credential_id, key)
        _server(party).authenticate_complete(_state(token), [credential], answer)
    except _MALFORMED as error:
        raise _refuse("sign-in", error) from error
    # Passkeys that a cloud synchronizes always report zero (Web Authentication Level 3, section 6.1.1).
    if (counter or row.sign_count) and counter <= row.sign_count:
        _log.warning("passkey_counter_went_back", passkey_id=row.id, member_id=row.member_id)
        raise PasskeyRefused(_COPIED)
    if not await tx.execute(_USE, passkey=row.id, read_count=row.sign_count, new_count=counter, now=now):
        raise PasskeyRefused(_REFUSED)
    return row.member_id


async def rename(tx: Transaction, member_id: str, passkey_id: str, name: str) -> None:
    """Change the name of a member's passkey. Raises: NotFound; InvalidInput."""
    cleaned = _clean_name(name)
    if not is_id(passkey_id) or not await tx.execute(_RENAME, member=member_id, passkey=passkey_id, new_name=cleaned):
        raise _missing()


async def remove(tx: Transaction, member_id: str, passkey_id: str) -> None:
    """Delete a member's passkey. Raises: NotFound."""
    if not is_id(passkey_id) or not await tx.execute(_DELETE, member=member_id, passkey=passkey_id):
        raise _missing()


def _missing() -> NotFound:
    return NotFound("This passkey was already removed.")


def _clean_name(name: str) -> str:
    cleaned = name.strip() or "Passkey"
    if len(cleaned) > MAX_NAME:
        raise InvalidInput.of("name", f"must be at most {MAX_NAME} characters")
    problem = text_problem(cleaned) or name_problem(cleaned)
    if problem:
        raise InvalidInput.of("name", problem)
    return cleaned


def _server(party: RelyingParty) -> Fido2Server:
    server = Fido2Server(
        PublicKeyCredentialRpEntity(name=_SERVICE, id=party.id),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=lambda origin: origin == party.origin,
    )
    server.allowed_algorithms = [
        PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=kind.ALGORITHM)
        for kind in ALGORITHMS
    ]
    return server


def _challenge(token: str) -> bytes:
    return hashlib.sha256(b"passkey challenge\0" + token.encode()).digest()


def _state(token: str) -> dict[str, Any]:
    """Return the state that `Fido2Server` expects between the two halves of a ceremony."""
    return {
        "challenge": websafe_encode(_challenge(token)),
        "user_verification": UserVerificationRequirement.REQUIRED,
    }


def _descriptors(present: Sequence[_DescriptorRow]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            type=PublicKeyCredentialType.PUBLIC_KEY,
            id=row.credential_id,
            transports=[AuthenticatorTransport(transport) for transport in row.transports] or None,
        )
        for row in present
    ]


def _transports(response: object) -> list[str]:
    """Return the known transports that the browser reports. They help browsers to show the right hints."""
    listed = _mapping(_mapping(response)["response"]).get("transports") or []
    known = {str(transport) for transport in AuthenticatorTransport}
    return sorted(known.intersection(transport for transport in listed if isinstance(transport, str)))


def _mapping(value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("The response is not an object.")
    return value


def _require(condition: bool, problem: str) -> None:  # noqa: FBT001
    if not condition:
        raise ValueError(problem)


def _refuse(ceremony: Literal["registration", "sign-in"], error: Exception) -> PasskeyRefused:
    _log.info("passkey_refused", ceremony=ceremony, reason=f"{type(error).__name__}: {error}"[:200])
    return PasskeyRefused(_REFUSED)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
