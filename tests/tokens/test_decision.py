"""P8: the decision on stored credentials, as a table. No test here uses a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from one_runtime.catalog.grants import ClientCredentials, RefreshToken
from one_runtime.catalog.model import Integration
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import Refusals, StoredCredential, TokenMetadata
from one_runtime.tokens.decision import (
    RETRY_CONFIGURATION,
    Backoff,
    CredentialRequest,
    Decision,
    Fresh,
    NeedsReauth,
    Refresh,
    UseUntil,
    Verdict,
    count_refusal,
    decide,
    presumes_refusal,
)
from one_runtime.tokens.state import CredentialState
from tests.catalog.example import API_KEY, OAUTH2, entry_of

pytestmark = pytest.mark.promise("P8")

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
EARLIER, SOON, LATER = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1), NOW + timedelta(hours=1)
VERSION = 3
TOKENS = {"access_token": "at", "refresh_token": "rt"}
ACCESS_TOKEN = {"access_token": "at"}
GRANT = RefreshToken("rt", "at")
ENTRY = entry_of(OAUTH2)
ENTRY_WITHOUT_REFRESH = entry_of({**OAUTH2, "refresh": "none"})
MACHINE = entry_of(
    {
        "type": "client_credentials",
        "fields": [{"name": name, "label": name, "where": "There."} for name in ("client_id", "client_secret")],
        "token": {"url": "https://login.example.com/token"},
        "base_url": "https://api.example.com",
        "verified": {"how": "unverified"},
    }
)
CONNECTION = Connection(
    id="c",
    organization_id="o",
    end_user_id="user_123",
    integration_slug="example",
    name="Example",
    auth_type="oauth2",
    status="active",
    error=None,
    account_id=None,
    account_label=None,
    params={},
    scopes=(),
    missing_scopes=(),
    metadata={},
    created_at=EARLIER,
    updated_at=EARLIER,
    last_used_at=None,
    expires_at=LATER,
)


def state_of(
    *,
    entry: Integration | None = ENTRY,
    auth_type: str = "oauth2",
    secrets: dict[str, str] | None = None,
    expires_at: datetime | None = LATER,
    due_at: datetime | None = SOON,
    audience: str | None = None,
    status: str = "active",
    **stored: Any,
) -> CredentialState:
    """OAuth tokens that expire in an hour and are not due, unless the test says otherwise."""
    connection = replace(CONNECTION, auth_type=auth_type, status=status, expires_at=expires_at)
    columns = {"lease": None, "retry_at": None, "failures": 0, **stored}
    credential = StoredCredential(
        secrets=TOKENS if secrets is None else secrets,
        version=VERSION,
        token_metadata=TokenMetadata("client", due_at, audience),
        **columns,
    )
    return CredentialState.of(connection, credential, entry)


REJECTED = CredentialRequest(rejected=VERSION)
REJECTED_BEFORE = CredentialRequest(rejected=VERSION - 1)
RETRY_REFUSED = CredentialRequest(rejected=VERSION, retry_refused=True)
REFRESH_NOW = CredentialRequest(rejected=VERSION, retry_refused=True, ignore_backoff=True)
EXPIRED = {"expires_at": EARLIER, "due_at": EARLIER}
DEAD = {"expires_at": EARLIER}
DUE = {"due_at": EARLIER}
BACKOFF = {"retry_at": SOON, "failures": 2}
REFUSED = {"status": "needs_reauth", "due_at": None}

MACHINE_SECRETS = {"client_id": "id", "client_secret": "s"}

CASES: list[tuple[str, dict[str, Any], CredentialRequest, Decision]] = [
    ("valid tokens are fresh", {}, CredentialRequest(), Fresh()),
    ("tokens without an end are fresh", {"expires_at": None, "due_at": None}, CredentialRequest(), Fresh()),
    ("a version that was rejected before does not matter", {}, REJECTED_BEFORE, Fresh()),
    ("tokens are renewed when they are due", DUE, CredentialRequest(), Refresh(GRANT, usable=True)),
    ("tokens are due at the moment itself", {"due_at": NOW}, CredentialRequest(), Refresh(GRANT, usable=True)),
    ("expired tokens do not serve meanwhile", EXPIRED, CredentialRequest(), Refresh(GRANT, usable=False)),
    ("tokens expire at the moment itself", {"expires_at": NOW}, CredentialRequest(), Refresh(GRANT, usable=False)),
    ("rejected tokens do not serve meanwhile", {}, REJECTED, Refresh(GRANT, usable=False)),
    ("due tokens newer than the rejected serve", DUE, REJECTED_BEFORE, Refresh(GRANT, usable=True)),
    ("due tokens serve during a backoff", {**DUE, **BACKOFF}, CredentialRequest(), UseUntil(SOON)),
    ("expired tokens wait for the backoff", {**EXPIRED, **BACKOFF}, CredentialRequest(), Backoff(SOON)),
    ("rejected tokens wait for the backoff", BACKOFF, REJECTED, Backoff(SOON)),
    ("a backoff ends", {**DUE, "retry_at": NOW}, CredentialRequest(), Refresh(GRANT, usable=True)),
    ("a backoff does not concern fresh tokens", BACKOFF, CredentialRequest(), Fresh()),
    (
        "a refused grant is not tried again",
        {**REFUSED, "expires_at": EARLIER},
        CredentialRequest(),
        NeedsReauth("refused"),
    ),
    ("a refused grant is not tried after a rejection", REFUSED, REJECTED, NeedsReauth("refused")),
    ("a person has a refused grant tried again", REFUSED, RETRY_REFUSED, Refresh(GRANT, usable=False)),
    ("a check too waits for the backoff", {**REFUSED, **BACKOFF}, RETRY_REFUSED, Backoff(SOON)),
    (
        "a check of a connection that needs the end user does not wait",
        {**DUE, **BACKOFF, "status": "needs_reauth"},
        RETRY_REFUSED,
        Refresh(GRANT, usable=False),
    ),
    ("an explicit refresh ignores the backoff", {**DUE, **BACKOFF}, REFRESH_NOW, Refresh(GRANT, usable=False)),
    (
        "an explicit refresh without a grant sends nothing",
        {**DEAD, **BACKOFF, "secrets": ACCESS_TOKEN},
        REFRESH_NOW,
        NeedsReauth("expired"),
    ),
    (
        "a refused check does not end the renewals",
        {**DUE, "status": "needs_reauth"},
        CredentialRequest(),
        Refresh(GRANT, usable=True),
    ),
    ("without a refresh token, tokens serve", {"secrets": ACCESS_TOKEN}, REJECTED, UseUntil(LATER)),
    (
        "without a refresh token, expired tokens need the end user",
        {**EXPIRED, "secrets": ACCESS_TOKEN},
        CredentialRequest(),
        NeedsReauth("expired"),
    ),
    (
        "an entry that stopped renewing postpones a due row to the expiry",
        {**DUE, "entry": ENTRY_WITHOUT_REFRESH},
        CredentialRequest(),
        UseUntil(LATER, LATER),
    ),
    (
        "a due row that does not expire and cannot be renewed is looked at again later",
        {**DUE, "entry": ENTRY_WITHOUT_REFRESH, "expires_at": None},
        CredentialRequest(),
        UseUntil(None, NOW + RETRY_CONFIGURATION),
    ),
    (
        "a row that was postponed is not postponed again",
        {**DUE, **BACKOFF, "entry": ENTRY_WITHOUT_REFRESH},
        CredentialRequest(),
        UseUntil(LATER),
    ),
    (
        "a changed audience needs the end user",
        {"audience": "elsewhere"},
        CredentialRequest(),
        NeedsReauth("audience_changed"),
    ),
    (
        "a key that was stored over tokens is never due again",
        {**DUE, "auth_type": "api_key", "entry": entry_of(API_KEY)},
        CredentialRequest(),
        Fresh("never"),
    ),
    (
        "a row without an integration is looked at again later",
        {**DUE, "entry": None},
        REJECTED,
        Fresh(NOW + RETRY_CONFIGURATION),
    ),
    ("a row without an integration that is not due stays", {"due_at": None, "entry": None}, REJECTED, Fresh()),
    (
        "client credentials are renewed by themselves",
        {**EXPIRED, "auth_type": "client_credentials", "entry": MACHINE, "secrets": MACHINE_SECRETS},
        CredentialRequest(),
        Refresh(ClientCredentials(MACHINE_SECRETS, None), usable=False),
    ),
]


@pytest.mark.parametrize(
    "columns, request_, expected",
    [pytest.param(columns, request_, expected, id=name) for name, columns, request_, expected in CASES],
)
def test_each_case_of_the_table_is_decided(
    columns: dict[str, Any], request_: CredentialRequest, expected: Decision
) -> None:
    assert decide(state_of(**columns), NOW, request_) == expected


COMBINATIONS: list[dict[str, Any]] = [
    {
        "expires_at": expires_at,
        "due_at": due_at,
        "retry_at": retry_at,
        "status": status,
        "secrets": secrets,
        "audience": audience,
        "lease": lease,
    }
    for expires_at, due_at, retry_at, status, secrets, audience, lease in product(
        (None, EARLIER, SOON, LATER),
        (None, EARLIER, SOON),
        (None, EARLIER, SOON),
        ("active", "needs_reauth"),
        (TOKENS, ACCESS_TOKEN),
        (None, "elsewhere"),
        (None, "another"),
    )
]
REQUESTS = [CredentialRequest(), REJECTED, REJECTED_BEFORE, RETRY_REFUSED, REFRESH_NOW]


def decisions() -> list[tuple[dict[str, Any], CredentialRequest, Decision]]:
    """Every combination of columns and requests with its decision."""
    pairs = product(COMBINATIONS, REQUESTS)
    return [(columns, request, decide(state_of(**columns), NOW, request)) for columns, request in pairs]


def test_credentials_of_another_audience_are_never_used_nor_renewed() -> None:
    for columns, _, decision in decisions():
        assert (decision == NeedsReauth("audience_changed")) == (columns["audience"] is not None), columns


def test_provider_gets_only_an_explicit_request_during_a_backoff_and_none_without_a_grant() -> None:
    for columns, request, decision in decisions():
        if isinstance(decision, Refresh):
            presumed = columns["status"] == "needs_reauth" and columns["due_at"] is not None
            explicit = request.ignore_backoff or (request.retry_refused and presumed)
            assert columns["retry_at"] in {None, EARLIER} or explicit, columns
            assert columns["secrets"] == TOKENS, columns


def test_refused_grant_is_presented_only_on_an_explicit_request() -> None:
    for columns, request, decision in decisions():
        if isinstance(decision, Refresh) and columns["status"] == "needs_reauth" and columns["due_at"] is None:
            assert request.retry_refused, columns


def test_expired_tokens_are_never_used() -> None:
    for columns, _, decision in decisions():
        if columns["expires_at"] == EARLIER:
            assert not isinstance(decision, Fresh | UseUntil), columns
            assert not (isinstance(decision, Refresh) and decision.usable), columns


def test_rejected_version_is_used_only_if_nothing_can_replace_it() -> None:
    for columns, request, decision in decisions():
        if request.rejected != VERSION:
            continue
        assert not isinstance(decision, Fresh), columns
        assert not (isinstance(decision, Refresh) and decision.usable), columns
        if isinstance(decision, UseUntil):
            assert columns["secrets"] == ACCESS_TOKEN, columns


def test_a_lease_does_not_change_the_decision() -> None:
    """Only the conditional update of the row tells whether another process holds the lease."""
    for columns, request, decision in decisions():
        without_lease = {**columns, "lease": None}
        assert decide(state_of(**without_lease), NOW, request) == decision, columns


MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
PRESUMPTIONS: list[tuple[str, Refusals | None, datetime, Verdict, bool]] = [
    ("no refusal", None, EARLIER, "refused", False),
    ("one refusal", "single", LATER, "refused", False),
    ("unclear refusals", "unclear", LATER, "refused", False),
    ("a refused token that has not expired", "repeated", LATER, "refused", True),
    ("a refused token that has expired", "repeated", EARLIER, "refused", False),
    ("no check and an expired token", "repeated", EARLIER, "unchecked", False),
    ("an unclear check of an expired token", "repeated", EARLIER, "unclear", False),
    ("a day and a refused token that has not expired", "lasting", LATER, "refused", True),
    ("a day and a refused token that has expired", "lasting", EARLIER, "refused", True),
    ("a day without a check and an expired token", "lasting", EARLIER, "unchecked", True),
    ("a day without a check and a token that has not expired", "lasting", LATER, "unchecked", False),
    ("a day and an unclear check of an expired token", "lasting", EARLIER, "unclear", True),
    ("a day and an unclear check of a token that has not expired", "lasting", LATER, "unclear", False),
]


@pytest.mark.parametrize("_,refusals,expires_at,verdict,presumed", PRESUMPTIONS, ids=[case[0] for case in PRESUMPTIONS])
def test_repeated_refusals_count_only_with_a_dead_access_token(
    _: str, refusals: Refusals | None, expires_at: datetime, verdict: Verdict, presumed: bool
) -> None:
    state = state_of(expires_at=expires_at, refused_since=NOW - 2 * DAY, refusals=refusals)
    assert presumes_refusal(state, NOW, verdict) is presumed


@pytest.mark.parametrize(
    "since,before,has_other_cause,refusals",
    [
        (None, None, False, "single"),
        (None, None, True, "unclear"),
        (MINUTE - timedelta(seconds=1), "single", False, "single"),
        (MINUTE, "single", False, "repeated"),
        (MINUTE, "repeated", True, "unclear"),
        (DAY - MINUTE, "unclear", False, "unclear"),
        (DAY - MINUTE, "repeated", False, "repeated"),
        (DAY, "unclear", True, "lasting"),
        (DAY, "single", False, "lasting"),
    ],
)
def test_refusals_are_judged_by_the_time_of_the_last_and_by_their_causes(
    since: timedelta | None, before: Refusals | None, has_other_cause: bool, refusals: Refusals
) -> None:
    first = None if since is None else NOW - since
    stored = count_refusal(state_of(refused_since=first, refusals=before).stored, NOW, has_other_cause=has_other_cause)
    assert (stored.refused_since, stored.refusals) == (first or NOW, refusals)
