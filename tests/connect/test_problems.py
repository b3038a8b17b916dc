"""Texts for errors: an end user never reads a message of the API, which is for developers and in English."""

import pytest

from one_runtime.catalog.request import InvalidValue
from one_runtime.connect.problems import members_of, text_of_error, text_of_failure, text_of_field, text_of_problem
from one_runtime.connect.texts import ENGLISH
from one_runtime.connecting.authorization_attempts import AuthorizationFailed
from one_runtime.connections.credentials import CredentialsRefused, PermissionMissing, ProviderUnavailable
from one_runtime.errors import FieldError, InvalidInput, error_kinds
from one_runtime.explanations.stored_errors import SESSION_ERRORS
from one_runtime.oauth.errors import OAuthError

NAMES = {"integration": "Acme CRM", "organization": "Northwind"}


@pytest.mark.parametrize("code", sorted({*SESSION_ERRORS, *(kind.code for kind in error_kinds())}))
def test_each_code_has_a_text_that_needs_only_names(code: str) -> None:
    text = text_of_failure(code).within(ENGLISH, **NAMES)
    assert text
    assert "{" not in text


@pytest.mark.parametrize("kind", OAuthError.__subclasses__(), ids=lambda kind: str(kind.code))
def test_failed_authorization_has_a_text_of_its_own(kind: type[OAuthError]) -> None:
    if kind.code != "id_token_refused":  # only members of a team sign in with an ID token
        assert text_of_failure(kind.code).name == f"failed.{kind.code}"


def test_missing_permission_is_named_in_a_form_and_after_an_authorization() -> None:
    error = PermissionMissing("English", None, "contacts:read")
    for text in (text_of_error(error), text_of_problem(error)):
        assert "lacks the permission contacts:read" in text.within(ENGLISH, **NAMES)
    unknown = PermissionMissing("English", None, None)
    assert text_of_error(unknown) == text_of_problem(unknown) == ("problem.permission_missing", {})


def test_refused_credential_has_a_text_for_the_form_and_one_for_the_window() -> None:
    error = CredentialsRefused("English", "reason of the provider")
    assert text_of_error(error).name == "problem.credentials_refused"
    assert text_of_problem(error).name == "failed.credentials_refused"
    assert text_of_error(ProviderUnavailable("English")).name == "problem.provider_unavailable"
    assert text_of_problem(AuthorizationFailed("consent_denied", "English")).name == "failed.consent_denied"


def test_invalid_value_has_the_text_of_its_rule() -> None:
    rule = InvalidValue("must be at most 255 characters", "too_long", limit="255").at("params.host", "English")
    assert text_of_field(rule).within(ENGLISH, **NAMES) == "This is too long. A value can have at most 255 characters."
    assert text_of_field(FieldError("params.host", "English")).name == "field.invalid"
    members = members_of(InvalidInput.of_all([rule]))
    assert members == {
        "text": {"name": "problem.other", "values": {}},
        "field_texts": {"params.host": {"name": "field.too_long", "values": {"limit": "255"}}},
    }
