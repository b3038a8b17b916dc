"""Define the JSON that the popup's script and the server exchange, and convert objects of `connecting` to this JSON.

These classes contain only the fields that the popup needs.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.model import Integration
from one_runtime.connect.problems import text_of_failure
from one_runtime.connecting.authorization_outcome import AuthorizationOutcome
from one_runtime.connecting.popup import PopupView
from one_runtime.errors import FieldError, InvalidInput, MalformedRequest
from one_runtime.validation.descriptions import MAX_ERRORS, describe
from one_runtime.validation.json_values import require_few_values

MAX_VALUES = 50
MAX_VALUE_LENGTH = 16_384


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    return value


Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=MAX_VALUE_LENGTH), AfterValidator(_no_nul)]
ConnectionName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255), AfterValidator(_no_nul)]
Question = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
"""The question if a new account replaces the connected account (`AccountMismatch`), which the end user agreed to."""
S = TypeVar("S", bound="Sent")
Values = Annotated[dict[Name, Value], Field(max_length=MAX_VALUES)]


class Sent(BaseModel):
    """A body that the popup sends. Validation errors contain no value of the body (promise P11 of docs/security.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ViewBody(Sent):
    """A request for the data to show. `integration_slug`: the integration that the end user selected from the list.

    `session_id`: the session whose allowed origins decided which pages can show this frame. The page around the frame
    chooses the token, and could choose the token of a session that it may not show (promise P6 of docs/security.md).
    """

    session_id: Name | None = None
    integration_slug: Name | None = None


class SearchBody(Sent):
    """A query in the list of integrations. `session_id`: see `ViewBody`."""

    session_id: Name | None = None
    query: Annotated[str, StringConstraints(max_length=200)]


class ConnectBody(Sent):
    """A submitted form. `integration_slug`: the integration that the end user selected from the list.

    `connection`: the id of the connection that the end user selected from several, or `add`.
    """

    integration_slug: Name | None = None
    auth_type: Name
    params: Values = Field(default_factory=dict)
    credentials: Values = Field(default_factory=dict, repr=False)
    name: ConnectionName | None = None
    replace_account: Question | None = None
    connection: Name | None = None


class OutcomeBody(Sent):
    """A request for the outcome of an authorization."""

    authorization_id: Name


class OpenerPolicyBody(Sent):
    """The window of an authorization has no opener. `session`: the id of the session, from the URL's fragment."""

    session: Name


class TicketBody(Sent):
    """The ticket of an authorization. A ticket is a one-time token that starts the authorization."""

    ticket: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(repr=False)


class PopupAnswer(BaseModel):
    """A part of a response. Pydantic can read the fields of this part from the attributes of another object."""

    model_config = ConfigDict(from_attributes=True)


class OptionAnswer(PopupAnswer):
    """An allowed value of a parameter."""

    value: str
    label: str


class ParamAnswer(PopupAnswer):
    """A parameter of the connection, such as a subdomain. Parameters are not secret."""

    name: str
    label: str
    help: str | None
    placeholder: str | None
    default: str | None
    pattern: str | None
    options: list[OptionAnswer]
    suffix: str | None


class FieldAnswer(PopupAnswer):
    """A field of the credential."""

    name: str
    label: str
    help: str | None
    where: str
    where_url: str | None
    placeholder: str | None
    pattern: str | None
    secret: bool
    optional: bool


class AuthAnswer(PopupAnswer):
    """An auth type, such as `api_key`, with its form. `checked`: True if One Runtime verifies the credential."""

    auth_type: str
    label: str
    checked: bool
    params: list[ParamAnswer]
    fields: list[FieldAnswer]


class PopupOrganization(PopupAnswer):
    """The organization that asks the end user to connect."""

    display_name: str
    logo_url: str | None
    privacy_url: str | None
    logo_dark_url: str | None = None


class PopupEndUser(PopupAnswer):
    """The end user who connects."""

    name: str | None
    email: str | None


class IntegrationAnswer(BaseModel):
    """An integration to connect, alone or in the list.

    `logo_url`: the URL of the logo on this server. `rank`: the position among the integrations that the list shows
    first, or None.
    """

    slug: str
    name: str
    description: str
    category: str
    logo_url: str | None
    connected: bool = False
    rank: int | None = None


class ViewAnswer(PopupAnswer):
    """The data to show: one `integration`, or the list of `integrations` from which the end user selects one."""

    organization: PopupOrganization
    end_user: PopupEndUser
    integration: IntegrationAnswer | None
    integrations: list[IntegrationAnswer]
    suggested_connection_name: str | None
    reconnect: bool
    auth_types: list[AuthAnswer]


class SearchAnswer(BaseModel):
    """The integrations in the list that match a query, the best match first."""

    slugs: list[str]


class ConnectedAnswer(PopupAnswer):
    """The connected account. `connection_id`: None in the mode `redirect`."""

    connection_id: str | None
    integration_slug: str
    connection_name: str


class PreparedAnswer(BaseModel):
    """A prepared authorization. `ticket`: the one-time token that starts the authorization."""

    authorization_id: str
    ticket: str = Field(repr=False)


class RedirectAnswer(BaseModel):
    """The URL of the provider's authorization page."""

    url: str


class TextAnswer(PopupAnswer):
    """A text of the popup. The script knows the other values: the names of the integration and the organization."""

    name: str
    values: dict[str, str]


class OutcomeAnswer(BaseModel):
    """The outcome of an authorization.

    `state`: `waiting`, `connected` or `failed`. `text`: the name of the text for `code`, and its values, or None.
    `provider_reason`: the provider's own error text, or None.
    """

    state: str
    connection: ConnectedAnswer | None
    code: str | None
    text: TextAnswer | None
    provider_reason: str | None


def outcome_answer(outcome: AuthorizationOutcome) -> OutcomeAnswer:
    """Convert the outcome to its JSON model."""
    connection = ConnectedAnswer.model_validate(outcome.connected) if outcome.connected is not None else None
    shown = text_of_failure(outcome.code, outcome.permission) if outcome.code is not None else None
    return OutcomeAnswer(
        state=outcome.state,
        connection=connection,
        code=outcome.code,
        text=TextAnswer.model_validate(shown) if shown is not None else None,
        provider_reason=outcome.provider_reason,
    )


def read_json(kind: type[S], body: bytes) -> S:
    """Read the JSON body of a request from the popup.

    Raises:
        MalformedRequest: the body is not JSON.
        TooLarge: the JSON has too many values.
        InvalidInput: the JSON does not match `kind`. The error never contains the values.
    """
    require_few_values(body)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        if any(problem["type"] == "json_invalid" for problem in problems):
            raise MalformedRequest("The body is not valid JSON.") from None
        fields = tuple(
            FieldError(".".join(map(str, problem["loc"])) or "body", describe(problem))
            for problem in problems[:MAX_ERRORS]
        )
        raise InvalidInput(
            "The request does not have the format that the server expects. Reload the page and try again.", fields
        ) from None


def view_answer(view: PopupView, logo_url: Callable[[Integration], str | None]) -> ViewAnswer:
    """Return the JSON model of a view. `logo_url` returns the URL of an integration's logo on this server."""

    def answer(integration: Integration, *, connected: bool = False, rank: int | None = None) -> IntegrationAnswer:
        return IntegrationAnswer(
            slug=integration.slug,
            name=integration.name,
            description=integration.description,
            category=integration.category,
            logo_url=logo_url(integration),
            connected=connected,
            rank=rank,
        )

    return ViewAnswer(
        organization=PopupOrganization(
            display_name=view.organization.display_name,
            logo_url=view.organization.logo_url,
            privacy_url=view.organization.privacy_url,
            logo_dark_url=view.organization.branding.logo_dark_url,
        ),
        end_user=PopupEndUser.model_validate(view.end_user),
        integration=answer(view.integration) if view.integration else None,
        integrations=[
            answer(option.integration, connected=option.connected, rank=option.rank) for option in view.options
        ],
        suggested_connection_name=view.session.suggested_connection_name,
        reconnect=view.reconnect,
        auth_types=[_auth(auth) for auth in view.auths],
    )


def _auth(auth: Auth) -> AuthAnswer:
    params = [ParamAnswer.model_validate(param) for param in auth.params]
    for param, answer in zip(auth.params, params, strict=True):
        if param.transform:  # the server first transforms the value, so the browser cannot check the pattern
            answer.pattern = None
    return AuthAnswer(
        auth_type=auth.type,
        label=auth.label,
        checked=auth.check is not None,
        params=params,
        fields=[FieldAnswer.model_validate(field) for field in auth.fields],
    )
