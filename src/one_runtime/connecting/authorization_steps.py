"""What the steps of a consent take and answer, and how their failures are told apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from one_runtime.catalog.model import Integration
from one_runtime.connecting.popup import Connected
from one_runtime.connecting.sessions import ConnectSession
from one_runtime.connections.credentials import CredentialsRefused
from one_runtime.errors import Conflict, OneRuntimeError
from one_runtime.tenancy.organizations import Organization

_COOKIE: Final = "or-consent-"
_NAMED: Final = 16  # hex digits of the state's hash, so that windows side by side have cookies of their own

State: TypeAlias = Literal["waiting", "connected", "failed"]


class AuthorizationExpired(Conflict):
    """A ticket or a callback that belongs to no consent under way: used, too old, or another browser's."""

    code = "consent_lost"


@dataclass(frozen=True, slots=True)
class PreparedAuthorization:
    """A consent that a window may leave for. `ticket` is shown once."""

    consent_id: str
    ticket: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthorizationRedirect:
    """Where a browser goes, and the cookie that it takes along."""

    url: str = field(repr=False)
    integration_name: str
    cookie: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallbackResult:
    """How a callback ended. `problem`: why nothing was connected; `cookie`: to be deleted; `params` and `name`: what
    was asked for. Of a callback that another browser brings, there is the problem alone."""

    session: ConnectSession | None = None
    integration: Integration | None = None
    organization: Organization | None = None
    connected: Connected | None = None
    problem: OneRuntimeError | None = None
    cookie: str | None = None
    return_to: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    choosing: "AccountSelection | None" = None

    @property
    def integration_slug(self) -> str | None:
        """Of what was to be connected."""
        return self.integration.slug if self.integration is not None else None


@dataclass(frozen=True, slots=True)
class AccountSelection:
    """Several accounts are behind what was granted: the same browser says which one. `labels`: in their order;
    `cookie`: the name of the browser's."""

    consent_id: str
    labels: tuple[str, ...]
    cookie: str


@dataclass(frozen=True, slots=True)
class AuthorizationOutcome:
    """What our own page is told. `message` and `provider_reason`: as the session keeps them."""

    state: State
    connected: Connected | None = None
    code: str | None = None
    message: str = ""
    provider_reason: str | None = None
    integration_name: str = ""
    organization_name: str = ""


@dataclass(frozen=True, slots=True)
class SelectedAccount:
    """Which of several accounts; `cookie`: the name of the browser's."""

    consent_id: str
    number: int
    cookie: str


class AuthorizationFailed(Conflict):
    """The authorization ended without a connection; `reason` holds the provider's own words; `counts`: it is one of the
    session's ten attempts."""

    code = "authorization_failed"

    def __init__(self, code: str, detail: str, reason: str | None = None, *, counts: bool = False) -> None:
        super().__init__(detail)
        self.failure = code
        self.reason = reason
        self.counts = counts


def cookie_name(state_hash: bytes) -> str:
    """Which cookie belongs to a state. The name tells nothing: it is part of a hash."""
    return _COOKIE + state_hash.hex()[:_NAMED]


def failure_code(error: OneRuntimeError) -> str:
    """The stable code of why an authorization failed."""
    return error.failure if isinstance(error, AuthorizationFailed) else error.code


def reason_of(error: OneRuntimeError) -> str | None:
    """The provider's own words, where it gave any."""
    if isinstance(error, AuthorizationFailed):
        return error.reason
    return error.provider_reason if isinstance(error, CredentialsRefused) else None
