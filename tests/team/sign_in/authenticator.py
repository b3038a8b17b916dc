"""A software authenticator: it creates and uses passkeys as a browser with a device does."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256, CoseKey
from fido2.utils import sha256, websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

FLAG: Final = AuthenticatorData.FLAG
PRESENT_AND_VERIFIED: Final = FLAG.UP | FLAG.UV


@dataclass
class SoftwareKey:
    """A passkey on the device. `counter`: 0 for a synchronized passkey, which always reports 0."""

    key: ec.EllipticCurvePrivateKey
    credential_id: bytes
    rp_id: str
    user_handle: bytes
    counter: int = 0


@dataclass
class Authenticator:
    """The device and its browser. `origin`: the page's origin. `flags`: what the device says about the person."""

    origin: str
    flags: AuthenticatorData.FLAG = PRESENT_AND_VERIFIED
    counts: bool = False
    keys: list[SoftwareKey] = field(default_factory=list)

    def create(self, options: Any, **changes: Any) -> dict[str, Any]:
        """Return the response of `navigator.credentials.create` as JSON. `changes`: see `_client_data`."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = SoftwareKey(
            key, secrets.token_bytes(32), options["rp"]["id"], websafe_decode(options["user"]["id"]), int(self.counts)
        )
        self.keys.append(made)
        public: CoseKey = changes.pop("public_key", None) or ES256.from_cryptography_key(key.public_key())  # type: ignore[no-untyped-call]
        data = AttestedCredentialData.create(Aaguid.NONE, made.credential_id, public)
        rp_id = changes.pop("rp_id", made.rp_id)
        auth_data = AuthenticatorData.create(
            sha256(rp_id.encode()), self.flags | FLAG.AT, made.counter, credential_data=data
        )
        response = {
            "clientDataJSON": self._client_data("webauthn.create", options, changes).b64,
            "attestationObject": websafe_encode(AttestationObject.create("none", auth_data, {})),
            "transports": ["internal", "hybrid", "of the future"],
        }
        return self._credential(made, response)

    def get(self, options: Any, key: SoftwareKey | None = None, **changes: Any) -> dict[str, Any]:
        """Return the response of `navigator.credentials.get` as JSON."""
        used = key or self.keys[-1]
        if self.counts:
            used.counter += 1
        rp_id = changes.pop("rp_id", used.rp_id)
        auth_data = AuthenticatorData.create(sha256(rp_id.encode()), self.flags, used.counter)
        handle = changes.pop("user_handle", used.user_handle)
        client_data = self._client_data("webauthn.get", options, changes)
        signature = used.key.sign(auth_data + client_data.hash, ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": client_data.b64,
            "authenticatorData": websafe_encode(auth_data),
            "signature": websafe_encode(signature),
            "userHandle": websafe_encode(handle) if handle is not None else None,
        }
        return self._credential(used, response)

    def _client_data(self, kind: str, options: Any, changes: dict[str, Any]) -> CollectedClientData:
        """Return the client data. `changes`: the type, the challenge or the origin of a forged response."""
        return CollectedClientData.create(
            changes.pop("type", kind),
            changes.pop("challenge", options["challenge"]),
            changes.pop("origin", self.origin),
            **changes,
        )

    @staticmethod
    def _credential(key: SoftwareKey, response: dict[str, Any]) -> dict[str, Any]:
        identifier = websafe_encode(key.credential_id)
        return {
            "id": identifier,
            "rawId": identifier,
            "type": "public-key",
            "response": {name: value for name, value in response.items() if value is not None},
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
        }
