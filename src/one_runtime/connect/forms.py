"""Build the fields of HTML forms, and read the forms that browsers send.

The forms are on the pages of the modes `redirect` and `link`, and on the page for the selection of an account. These
pages are not in a frame. A page never shows a secret that the end user has entered. One Runtime refuses forms from
other sites, and forms with unknown fields (promises P6 and P11 of docs/security.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from pydantic import Field, StringConstraints, ValidationError

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.parts import ParamOption
from one_runtime.connect.texts import Texts, shown
from one_runtime.connect.wire import ConnectionName, Name, Question, Sent, Values
from one_runtime.connecting.popup import PopupView, SubmittedForm
from one_runtime.connections.connections import ADD, Connection
from one_runtime.errors import MalformedRequest

MAX_FIELDS: Final = 120
_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_GROUPS: Final = ("params", "credentials")
_STATES: Final = {"active": "which.active", "needs_reauth": "which.needs_reauth"}

# confirm: the end user pressed "continue" on the confirmation page. resume: the browser asks for the first page. In the
# mode `link`, the first page is the confirmation page. show: the browser asks for the list or form of this post.
Step: TypeAlias = Literal["resume", "confirm", "show", "connect", "cancel"]
F = TypeVar("F", bound=Sent)
Filter: TypeAlias = Annotated[str, StringConstraints(max_length=200)]


class FormPost(Sent):
    """A posted form. `search`, `category`: the filter that the end user selected in the list of integrations.

    `connection`: the id of the connection that the end user selected from several, or `add`.
    """

    session_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(repr=False)
    step: Step
    integration_slug: Name | None = None
    auth_type: Name | None = None
    search: Filter = ""
    category: Filter = ""
    replace_account: Question | None = None
    connection: Name | None = None
    params: Values = Field(default_factory=dict)
    credentials: Values = Field(default_factory=dict, repr=False)
    name: ConnectionName | None = None

    def request(self) -> SubmittedForm:
        """Return the form as a request to connect. Omit empty fields."""
        return SubmittedForm(
            auth_type=self.auth_type or "",
            params={name: value for name, value in self.params.items() if value},
            credentials={name: value for name, value in self.credentials.items() if value},
            name=self.name or None,
            replace_account=self.replace_account,
            connection=self.connection,
            integration_slug=self.integration_slug,
        )


class AccountPost(Sent):
    """The posted selection of an account. `cookie`: the name of the authorization's cookie."""

    authorization: Name
    cookie: Name
    account: Annotated[int, Field(ge=0, le=1000, strict=False)]


def is_from_our_page(headers: Mapping[str, str], public_origin: str) -> bool:
    """Return True if one of One Runtime's own pages sent this request.

    An attacker's page could submit a form with the token of the attacker's own session and a later step, such as
    `connect`. Without this check, the visitor would skip the confirmation page, which names the organization and the
    end user.

    The browser sets the header `Sec-Fetch-Site`, and no page can forge the header. The value `same-origin` means one of
    our pages. If the header is missing, `Origin` must be One Runtime's own origin.

    Old browsers do not send `Sec-Fetch-Site`. With our `Referrer-Policy: no-referrer`, they send `Origin: null` with a
    form (Fetch, section 3.2). So old browsers get an error page. A weaker referrer policy would avoid this error, but
    could send a URL with a token to another site.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return headers.get("origin") == public_origin


def read_form(kind: type[F], content_type: str, body: bytes) -> F:
    """Read the form in a request's body. Raises: MalformedRequest. The error contains no value of the form."""
    if content_type.partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise MalformedRequest(f"The body must be a form, sent as {_MEDIA_TYPE}.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
        return kind.model_validate(_group(pairs) if kind is FormPost else dict(pairs))
    except (ValueError, ValidationError):
        raise MalformedRequest("The form is invalid. Open the page again and submit its form.") from None


def _group(pairs: list[tuple[str, str]]) -> dict[str, object]:
    """Turn `credentials.api_key=…` into `{"credentials": {"api_key": …}}`. Raises: ValueError for a repeated name."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name is repeated")
    grouped: dict[str, object] = {group: {} for group in _GROUPS}
    for name, value in values.items():
        group, dot, rest = name.partition(".")
        if dot and group in _GROUPS:
            grouped[group] = {**grouped[group], rest: value}  # type: ignore[dict-item] # a group is a dict
        elif value or name not in {"integration_slug", "auth_type", "replace_account", "connection"}:
            grouped[name] = value
    return grouped


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of a form.

    `path`: the field's name in the posted form. `pattern`: the regular expression that the browser checks.
    `again`: True if the end user has to enter a secret again. The server does not send secrets back to the browser.
    """

    path: str
    label: str
    value: str
    error: str | None
    help: str | None = None
    placeholder: str | None = None
    pattern: str | None = None
    options: tuple[ParamOption, ...] = ()
    suffix: str | None = None
    where: str | None = None
    where_url: str | None = None
    secret: bool = False
    optional: bool = False
    again: bool = False

    @property
    def id(self) -> str:
        """Return the id of the HTML element."""
        return f"field-{self.path.replace('.', '-')}"

    @property
    def described_by(self) -> str:
        """Return the ids of the HTML elements that describe the field."""
        parts = {"error": True, "suffix": self.suffix, "again": self.again, "help": self.help}
        return " ".join(f"{self.id}-{name}" for name, there in parts.items() if there)


def connection_field(present: Sequence[Connection], texts: Texts) -> FormField:
    """Return the field in which the end user selects one of several connections, or adds an account."""
    options = [ParamOption(value=connection.id, label=described(connection, texts)) for connection in present]
    add = ParamOption(value=ADD, label=texts["which.add"])
    return FormField("connection", texts["which.field"], "", None, texts["which.help"], options=(*options, add))


def described(connection: Connection, texts: Texts) -> str:
    """Return the name of a connection, its state, and the day on which it was made."""
    return f"{shown(connection.name)} · {connection_state(connection, texts)}"


def connection_state(connection: Connection, texts: Texts) -> str:
    """Return the state of a connection, and the day on which it was made."""
    return texts.text(_STATES[connection.status], date=connection.created_at.date().isoformat())


def form_fields(
    view: PopupView, auth: Auth, typed: FormPost | None, errors: Mapping[str, str], texts: Texts
) -> tuple[FormField, ...]:
    """Return the fields of one auth type.

    `typed`: the posted form, or None. The fields contain the posted values, but no secrets. If `typed` is None, the
    fields contain the default values.
    """
    fields = []
    for param in auth.params:
        path = f"params.{param.name}"
        fields.append(
            FormField(
                path=path,
                label=param.label,
                value=typed.params.get(param.name, "") if typed else param.default or "",
                error=errors.get(path),
                help=param.help,
                placeholder=param.placeholder,
                # The browser cannot check the pattern, because the server first transforms the typed value.
                pattern=None if param.transform else param.pattern,
                options=param.options,
                suffix=param.suffix,
            )
        )
    for field in auth.fields:
        path = f"credentials.{field.name}"
        value = typed.credentials.get(field.name, "") if typed else ""
        fields.append(
            FormField(
                path=path,
                label=field.label,
                value="" if field.secret else value,
                error=errors.get(path),
                help=field.help,
                placeholder=field.placeholder,
                pattern=field.pattern,
                where=field.where,
                where_url=field.where_url,
                secret=field.secret,
                optional=field.optional,
                again=field.secret and bool(value),
            )
        )
    suggested = view.session.suggested_connection_name
    if suggested:
        fields.append(
            FormField(
                path="name",
                label=texts["field.name"],
                value=(typed.name or "") if typed else suggested,
                error=errors.get("name"),
                help=texts["field.name.help"],
                optional=True,
            )
        )
    return tuple(fields)
