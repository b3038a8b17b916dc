"""Read the configuration of an OpenID provider (OpenID Connect Discovery 1.0), and the claims of an account.

One Runtime signs in members of the dashboard at such a provider. The requests of OAuth 2.0 are the same as for a
connection. So `OpenIDProvider.auth` describes the provider in the form of a catalog entry.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from pydantic import ValidationError

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.response import MISSING, parse_json
from one_runtime.catalog.templates import is_https
from one_runtime.egress.response import Response
from one_runtime.oauth.errors import OAuthError
from one_runtime.settings import OPENID_CONFIGURATION

SCOPES: Final = ("openid", "email", "profile")
_MAX_TEXT: Final = 255
_MAX_GROUPS: Final = 1000
_MAX_SECONDS: Final = 253_402_300_800  # the year 10000


class ProviderDocumentInvalid(OAuthError):
    """A document of the OpenID provider is not usable. The message says what is wrong."""

    code = "malformed_answer"


@dataclass(frozen=True, slots=True)
class OpenIDProvider:
    """The configuration that an OpenID provider publishes.

    `names_issuer`: True if each authorization response contains the issuer (RFC 9207). `scopes`: the scopes that the
    provider lists.
    """

    issuer: str
    auth: OAuth2Auth
    jwks_uri: str
    userinfo_endpoint: str | None
    names_issuer: bool
    scopes: frozenset[str]

    def requested_scopes(self, groups_claim: str) -> tuple[str, ...]:
        """Return the scopes to request. Some providers, such as Okta and Dex, need a scope for the groups."""
        return (*SCOPES, *((groups_claim,) if groups_claim in self.scopes and groups_claim not in SCOPES else ()))


@dataclass(frozen=True, slots=True)
class OpenIDAccount:
    """A person's account at the OpenID provider.

    `subject`: identifies the account at this issuer, forever. `verified_email`: the e-mail address, if the provider has
    verified that it belongs to the account. `groups`: empty if the provider sent no groups. `authenticated_at`: time at
    which the provider authenticated the person, or None if the provider sent no time.
    """

    issuer: str
    subject: str
    verified_email: str | None
    groups: frozenset[str]
    authenticated_at: dt.datetime | None = None


def configuration_url(issuer: str) -> str:
    """Return the URL of the provider's configuration (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.removesuffix("/") + OPENID_CONFIGURATION


def read_provider(issuer: str, response: Response) -> OpenIDProvider:
    """Return the provider of a configuration (OpenID Connect Discovery 1.0, sections 3 and 4.3).

    Raises: ProviderDocumentInvalid.
    """
    document = read_document(response, "The configuration of the OpenID provider")
    if document.get("issuer") != issuer:  # section 4.3: the two issuers must be identical
        raise ProviderDocumentInvalid(
            f"The OpenID provider calls itself {str(document.get('issuer'))[:_MAX_TEXT]!r}. Set "
            "ONE_RUNTIME_OIDC_ISSUER to exactly this value."
        )
    for name, required in (("response_types_supported", "code"), ("code_challenge_methods_supported", "S256")):
        if required not in _texts(document, name, default=[required]):
            raise ProviderDocumentInvalid(f"The OpenID provider does not support {required}, according to {name}.")
    return OpenIDProvider(
        issuer=issuer,
        auth=_auth(document),
        jwks_uri=_endpoint(document, "jwks_uri"),
        userinfo_endpoint=_endpoint(document, "userinfo_endpoint") if document.get("userinfo_endpoint") else None,
        names_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        scopes=frozenset(_texts(document, "scopes_supported", default=[])),
    )


def read_document(response: Response, what: str) -> dict[str, object]:
    """Return the JSON object of a response. `what`: the subject of the error. Raises: ProviderDocumentInvalid."""
    if response.status != 200:
        raise ProviderDocumentInvalid(f"{what} cannot be read: the provider answered with HTTP {response.status}.")
    document = parse_json(response.body)
    if document is MISSING or not isinstance(document, dict):
        raise ProviderDocumentInvalid(f"{what} is not a JSON object.")
    return document


def has_same_subject(claims: Mapping[str, object], userinfo: Mapping[str, object]) -> bool:
    """Return True if both documents describe the same account (OpenID Connect Core 1.0, section 5.3.2)."""
    return isinstance(userinfo.get("sub"), str) and userinfo["sub"] == claims["sub"]


def read_numeric_date(value: object) -> float | None:
    """Return the seconds since 1970 of a time claim (NumericDate of RFC 7519, section 2). Return None for other values.

    JSON parsers also accept NaN and Infinity, with which every comparison of times would succeed.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MAX_SECONDS else None


def read_account(claims: Mapping[str, object], userinfo: Mapping[str, object], groups_claim: str) -> OpenIDAccount:
    """Return the account that the claims of a verified ID token and of the UserInfo response describe.

    The e-mail address and the claims that verify it come from the same document. Otherwise, a person could write a
    foreign address into the one document, and the other document would verify the person's own address. Only the signed
    ID token says when the provider authenticated the person.
    """
    owner = claims if "email" in claims else userinfo
    email, seconds = owner.get("email"), read_numeric_date(claims.get("auth_time"))
    return OpenIDAccount(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        verified_email=email if isinstance(email, str) and _has_verified_email(owner) else None,
        groups=_groups((claims if groups_claim in claims else userinfo).get(groups_claim)),
        authenticated_at=None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC),
    )


def _has_verified_email(document: Mapping[str, object]) -> bool:
    """Return True if the provider has verified that the e-mail address of this document belongs to the account.

    Entra ID sends no `email_verified`. Its optional claim `xms_edov` says that a domain owner has verified the address:
    https://learn.microsoft.com/entra/identity-platform/migrate-off-email-claim-authorization
    """
    if "email_verified" in document:
        return document["email_verified"] is True
    return document.get("xms_edov") in (True, "1", "true")


def _groups(value: object) -> frozenset[str]:
    groups = value if isinstance(value, list) else [value]  # some providers send a single group as a text
    return frozenset(group for group in groups[:_MAX_GROUPS] if isinstance(group, str))


def _auth(document: Mapping[str, object]) -> OAuth2Auth:
    """Describe the provider's endpoints in the form of a catalog entry. Raises: ProviderDocumentInvalid."""
    # The default is client_secret_basic (OpenID Connect Discovery 1.0, section 3).
    methods = _texts(document, "token_endpoint_auth_methods_supported", default=["client_secret_basic"])
    if "client_secret_basic" not in methods and "client_secret_post" not in methods:
        raise ProviderDocumentInvalid("The OpenID provider supports no authentication with a client secret.")
    # An endpoint can have a query (RFC 6749, 3.1), which a catalog entry lists separately.
    authorization, _, authorization_query = _endpoint(document, "authorization_endpoint").partition("?")
    token, _, token_query = _endpoint(document, "token_endpoint").partition("?")
    method = "basic" if "client_secret_basic" in methods else "post"
    try:
        return OAuth2Auth.model_validate(
            {
                "type": "oauth2",
                "authorization": {
                    "url": authorization, "params": dict(parse_qsl(authorization_query)), "nonce_param": "nonce",
                },
                "pkce": "required",
                "token": {"url": token, "query": dict(parse_qsl(token_query)), "auth": method},
                "refresh": "none",
                "base_url": authorization,
                "verified": {"how": "unverified"},
            },
            context={"allow_http": True},
        )  # fmt: skip
    except ValidationError as error:
        raise ProviderDocumentInvalid("The OpenID provider's endpoints are not usable.") from error


def _endpoint(document: Mapping[str, object], name: str) -> str:
    """Return the URL of an endpoint: https, or http on loopback. Raises: ProviderDocumentInvalid."""
    url = document.get(name)
    if not isinstance(url, str) or not is_https(url, allow_http=True):
        raise ProviderDocumentInvalid(f"{name} of the OpenID provider must be an https URL.")
    return url


def _texts(document: Mapping[str, object], name: str, *, default: Sequence[str]) -> Sequence[str]:
    values = document.get(name)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else default
