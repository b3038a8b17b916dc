"""The JSON that the popup's script and the server exchange. It has its own models, so that no domain field leaks."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.parts import Param
from one_runtime.clock import rfc3339
from one_runtime.connect.texts import failure
from one_runtime.connecting.authorization import AuthorizationOutcome
from one_runtime.connecting.popup import Connected, ConnectRequest, IntegrationOption, PopupView
from one_runtime.errors import FieldError, InvalidInput, MalformedRequest

MAX_VALUES = 50
MAX_VALUE_LENGTH = 16_384


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    return value


Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=MAX_VALUE_LENGTH), AfterValidator(_no_nul)]
ConnectionName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255), AfterValidator(_no_nul)]
S = TypeVar("S", bound="Sent")
Values = Annotated[dict[Name, Value], Field(max_length=MAX_VALUES)]


class Sent(BaseModel):
    """A body from the page. Its errors never contain the values (P11)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ViewBody(Sent):
    """A request for the view. `integration_slug`: the integration that was picked from the list."""

    integration_slug: Name | None = None


class ConnectBody(Sent):
    """A submitted form. `integration_slug`: the integration that was picked from the list."""

    integration_slug: Name | None = None
    auth_type: Name
    params: Values = Field(default_factory=dict)
    credentials: Values = Field(default_factory=dict, repr=False)
    name: ConnectionName | None = None
    replace_account: bool = False


class OutcomeBody(Sent):
    """A request for the outcome of an authorization."""

    authorization_id: Name


class TicketBody(Sent):
    """The ticket that our frame sent to the window which it opened."""

    ticket: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(repr=False)


class OptionAnswer(BaseModel):
    """An option of a parameter."""

    value: str
    label: str


class ParamAnswer(BaseModel):
    """A field that is not secret."""

    name: str
    label: str
    help: str | None
    placeholder: str | None
    default: str | None
    pattern: str | None
    options: list[OptionAnswer]
    suffix: str | None


class FieldAnswer(BaseModel):
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


class AuthAnswer(BaseModel):
    """An auth type. `checked`: the provider verifies the credential before it is stored."""

    auth_type: str
    label: str
    checked: bool
    params: list[ParamAnswer]
    fields: list[FieldAnswer]


class PopupOrganization(BaseModel):
    """The organization that asks."""

    display_name: str
    logo_url: str | None
    privacy_url: str | None


class PopupEndUser(BaseModel):
    """The end user who connects."""

    name: str | None
    email: str | None


class IntegrationAnswer(BaseModel):
    """The integration to connect."""

    slug: str
    name: str
    description: str
    logo_url: str | None
    website: str


class IntegrationOptionAnswer(BaseModel):
    """An integration of the list."""

    slug: str
    name: str
    description: str
    category: str
    aliases: list[str]
    logo_url: str | None
    connected: bool


class ViewAnswer(BaseModel):
    """The view: one integration, or the list of `integrations` if none is named and none was picked."""

    session_id: str
    status: str
    organization: PopupOrganization
    end_user: PopupEndUser
    integration: IntegrationAnswer | None
    integrations: list[IntegrationOptionAnswer]
    suggested_connection_name: str | None
    reconnect: bool
    auth_types: list[AuthAnswer]
    allowed_origins: list[str]
    expires_at: str


class ConnectedAnswer(BaseModel):
    """A connection that was made."""

    connection_id: str | None
    integration_slug: str
    connection_name: str


class PreparedAnswer(BaseModel):
    """A prepared authorization, with the ticket for its window."""

    authorization_id: str
    ticket: str


class RedirectAnswer(BaseModel):
    """The provider's address."""

    url: str


class OutcomeAnswer(BaseModel):
    """The outcome of an authorization: `waiting`, `connected` with the connection, or `failed` with a message.

    `provider_reason`: the provider's own words, if it gave any.
    """

    state: str
    connection: ConnectedAnswer | None
    code: str | None
    message: str
    provider_reason: str | None


def read_ticket(body: bytes) -> str:
    """Read the ticket. Raises: as `read_connect`."""
    return _read(TicketBody, body).ticket


def read_outcome(body: bytes) -> str:
    """Read the authorization's id. Raises: as `read_connect`."""
    return _read(OutcomeBody, body).authorization_id


def outcome_answer(outcome: AuthorizationOutcome) -> OutcomeAnswer:
    """Return the outcome as JSON model."""
    connection = connected_answer(outcome.connected) if outcome.connected is not None else None
    names = {"integration": outcome.integration_name, "organization": outcome.organization_name}
    return OutcomeAnswer(
        state=outcome.state,
        connection=connection,
        code=outcome.code,
        message=failure(outcome.code, outcome.message, **names) if outcome.code is not None else outcome.message,
        provider_reason=outcome.provider_reason,
    )


def read_view(body: bytes) -> str | None:
    """Read the picked slug, or None. Raises: as `read_connect`."""
    return _read(ViewBody, body or b"{}").integration_slug


def read_connect(body: bytes) -> ConnectRequest:
    """Read a submitted form.

    Raises:
        MalformedRequest: the body is not JSON.
        InvalidInput: the JSON has another shape; the error never contains the values.
    """
    submitted = _read(ConnectBody, body)
    return ConnectRequest(
        auth_type=submitted.auth_type,
        params=submitted.params,
        credentials=submitted.credentials,
        name=submitted.name or None,
        replace_account=submitted.replace_account,
        integration_slug=submitted.integration_slug,
    )


def _read(kind: type[S], body: bytes) -> S:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        if any(problem["type"] == "json_invalid" for problem in problems):
            raise MalformedRequest("The body is not valid JSON.") from None
        fields = tuple(FieldError(".".join(map(str, problem["loc"])) or "body", problem["msg"]) for problem in problems)
        raise InvalidInput(
            "The request does not have the shape that this page sends. Reload the page and try again.", fields
        ) from None


def view_answer(view: PopupView, logo_url: Callable[[Integration], str | None]) -> ViewAnswer:
    """Return the view as JSON model. `logo_url` gives the address on this server of an integration's logo."""
    session, organization = view.session, view.organization
    return ViewAnswer(
        session_id=session.id,
        status=session.status,
        organization=PopupOrganization(
            display_name=organization.display_name,
            logo_url=organization.logo_url,
            privacy_url=organization.privacy_url,
        ),
        end_user=PopupEndUser(name=view.end_user.name, email=view.end_user.email),
        integration=_integration(view.integration, logo_url) if view.integration else None,
        integrations=[_option(option, logo_url) for option in view.options],
        suggested_connection_name=session.suggested_connection_name,
        reconnect=view.reconnect,
        auth_types=[_auth(auth) for auth in view.auths],
        allowed_origins=list(session.allowed_origins or organization.allowed_origins),
        expires_at=rfc3339(session.expires_at),
    )


def _integration(integration: Integration, logo_url: Callable[[Integration], str | None]) -> IntegrationAnswer:
    return IntegrationAnswer(
        slug=integration.slug,
        name=integration.name,
        description=integration.description,
        logo_url=logo_url(integration),
        website=integration.website,
    )


def _option(option: IntegrationOption, logo_url: Callable[[Integration], str | None]) -> IntegrationOptionAnswer:
    integration = option.integration
    return IntegrationOptionAnswer(
        slug=integration.slug,
        name=integration.name,
        description=integration.description,
        category=integration.category,
        aliases=list(integration.aliases),
        logo_url=logo_url(integration),
        connected=option.connected,
    )


def connected_answer(connected: Connected) -> ConnectedAnswer:
    """Return the connection as JSON model."""
    return ConnectedAnswer(
        connection_id=connected.connection_id,
        integration_slug=connected.integration_slug,
        connection_name=connected.connection_name,
    )


def _auth(auth: Auth) -> AuthAnswer:
    names = set(FieldAnswer.model_fields)
    return AuthAnswer(
        auth_type=auth.type,
        label=auth.label,
        checked=auth.check is not None,
        params=[_param(param) for param in auth.params],
        fields=[FieldAnswer.model_validate(field.model_dump(include=names)) for field in auth.fields],
    )


def _param(param: Param) -> ParamAnswer:
    answer = ParamAnswer.model_validate(param.model_dump(include=set(ParamAnswer.model_fields)))
    # A pattern holds for the transformed value, and only the server transforms it.
    return answer.model_copy(update={"pattern": None}) if param.transform else answer
