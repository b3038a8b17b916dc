"""An OpenID provider in this process, with switches for faults. Its signing keys are real."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from one_runtime.clock import Clock
from tests.oauth.answers import query_of

CLIENT_ID: Final = "dashboard"
CLIENT_SECRET: Final = "the+secret/of=dashboard"
CLAIMS: Final[Mapping[str, object]] = {
    "sub": "00u1", "email": "Ada@Acme.example", "email_verified": True, "name": "Ada Lovelace", "groups": ["staff"],
}  # fmt: skip
_RSA: Final = [rsa.generate_private_key(65537, 2048) for _ in range(2)]


@dataclass
class SigningKey:
    """A key pair of the provider."""

    kid: str
    algorithm: str
    private: Any

    @classmethod
    def new(cls, algorithm: str = "RS256", kid: str = "key-1") -> "SigningKey":
        """Return a key. The RSA keys are the same for all tests, because they take long to generate."""
        match algorithm:
            case "ES256":
                return cls(kid, algorithm, ec.generate_private_key(ec.SECP256R1()))
            case "EdDSA":
                return cls(kid, algorithm, ed25519.Ed25519PrivateKey.generate())
        return cls(kid, algorithm, _RSA[kid != "key-1"])

    @property
    def jwk(self) -> dict[str, Any]:
        """Return the public key."""
        kind = jwt.get_algorithm_by_name(self.algorithm)
        document: dict[str, Any] = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {**document, "kid": self.kid, "use": "sig"}

    def sign(self, claims: Mapping[str, object], **header: Any) -> str:
        """Return a token."""
        return jwt.encode(dict(claims), self.private, self.algorithm, headers={"kid": self.kid, **header})


@dataclass
class FakeProvider:
    """The provider. `claims`: of the person who signs in. The other fields change the responses.

    - `document`, `userinfo`: changes of the configuration, and claims of the UserInfo endpoint.
    - `signed`: changes of the ID token. A value of None removes the claim.
    - `sign`: makes the ID token. None: the newest key signs.
    - `answers`: complete responses, by path.
    """

    clock: Clock
    url: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey.new()])
    claims: dict[str, object] = field(default_factory=lambda: dict(CLAIMS))
    document: dict[str, object] = field(default_factory=dict)
    userinfo: dict[str, object] | None = None
    signed: dict[str, object] = field(default_factory=dict)
    sign: Callable[[Mapping[str, object]], str] | None = None
    answers: dict[str, web.Response] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str, **changes: str) -> bytes:
        """Sign the person in, as the provider's page does. Return the query of the callback."""
        request = query_of(url)
        assert (request["response_type"], request["client_id"]) == ("code", CLIENT_ID)
        assert request["code_challenge_method"] == "S256"
        code = f"code-{len(self._codes)}"
        self._codes[code] = request
        answer = {"code": code, "state": request["state"], "iss": self.url}
        return urlencode({name: value for name, value in {**answer, **changes}.items() if value}).encode()

    async def serve(self, request: web.Request) -> web.Response:
        """Answer a request."""
        self.requests.append(request.path)
        if request.path in self.answers:
            # aiohttp sends a response object only once
            answer = self.answers[request.path]
            return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        match request.path:
            case "/authorize":
                callback = self.authorize(str(request.url)).decode()
                raise web.HTTPFound(f"{request.query['redirect_uri']}?{callback}")
            case "/.well-known/openid-configuration":
                return web.json_response(self._configuration())
            case "/keys":
                return web.json_response({"keys": [key.jwk for key in self.keys]})
            case "/token":
                return self._tokens(request, parse_qs(await request.text()))
            case "/userinfo":
                assert request.headers["authorization"] == "Bearer the-access-token"
                return web.json_response(self.userinfo)
        return web.Response(status=404)

    def _configuration(self) -> dict[str, object]:
        document: dict[str, object] = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code", "id_token"],
            "authorization_response_iss_parameter_supported": True,
            **({"userinfo_endpoint": f"{self.url}/userinfo"} if self.userinfo is not None else {}),
        }
        return {name: value for name, value in {**document, **self.document}.items() if value is not None}

    def _tokens(self, request: web.Request, form: Mapping[str, list[str]]) -> web.Response:
        user, _, password = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).partition(b":")
        assert (user, password) == (CLIENT_ID.encode(), urlencode({"": CLIENT_SECRET})[1:].encode())
        asked = self._codes.pop(form["code"][0], None)
        if asked is None or form["redirect_uri"] != [asked["redirect_uri"]]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"][0].encode()).digest()).rstrip(b"=")
        assert challenge.decode() == asked["code_challenge"]
        now = int(self.clock().timestamp())
        claims = {
            "iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in {**claims, **self.signed}.items() if value is not None}
        id_token = self.keys[-1].sign(claims) if self.sign is None else self.sign(claims)
        body = {"access_token": "the-access-token", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}
        return web.json_response(body)


@asynccontextmanager
async def running_provider(clock: Clock) -> AsyncIterator[FakeProvider]:
    """Run a provider on loopback."""
    provider = FakeProvider(clock)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.serve)
    async with TestServer(app, host="127.0.0.1") as server:
        provider.url = str(server.make_url("")).rstrip("/")
        yield provider


def json_answer(body: object, status: int = 200) -> web.Response:
    """Return a complete response."""
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")
