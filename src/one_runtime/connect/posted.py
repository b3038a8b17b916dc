"""What the pages of a window of their own post: forms, read strictly, and only from our own pages (P6)."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from pydantic import Field, StringConstraints, ValidationError

from one_runtime.connect.wire import ConnectionName, Name, Sent, Values
from one_runtime.connecting.authorization_steps import SelectedAccount
from one_runtime.connecting.popup import ConnectRequest
from one_runtime.errors import MalformedRequest

MAX_FIELDS: Final = 120
_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_GROUPS: Final = ("params", "credentials")

# confirm: "yes, go on" (and whatever is looked at after that); resume: a reload, which starts over.
Step: TypeAlias = Literal["resume", "confirm", "show", "connect", "cancel"]
F = TypeVar("F", bound=Sent)
Filter: TypeAlias = Annotated[str, StringConstraints(max_length=200)]


class FormPost(Sent):
    """One posted form. `search` and `category`: what the list was narrowed down to, for the way back."""

    session_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(repr=False)
    step: Step
    integration_slug: Name | None = None
    auth_type: Name | None = None
    search: Filter = ""
    category: Filter = ""
    replace_account: Literal["yes"] | None = None
    params: Values = Field(default_factory=dict)
    credentials: Values = Field(default_factory=dict, repr=False)
    name: ConnectionName | None = None

    def request(self) -> ConnectRequest:
        """What was typed, as the flow takes it. A field that was left empty was not filled in."""
        return ConnectRequest(
            auth_type=self.auth_type or "",
            params={name: value for name, value in self.params.items() if value},
            credentials={name: value for name, value in self.credentials.items() if value},
            name=self.name or None,
            replace_account=self.replace_account is not None,
            integration_slug=self.integration_slug,
        )


class ChosenAccount(Sent):
    """Which of several accounts; `cookie`: the name of the browser's."""

    consent: Name
    cookie: Name
    choice: Annotated[int, Field(ge=0, le=1000, strict=False)]


def is_from_our_page(headers: Mapping[str, str], public_origin: str) -> bool:
    """Whether one of our own pages sent this form.

    A page of somebody else's could hold a form with the token of its own session and submit it by itself: whoever
    visits it would land behind the page that says who asks, and for whom. Browsers say in `Sec-Fetch-Site` where a
    request comes from, and no page can forge that. Where a browser (or something between) leaves it out, `Origin` has
    to be ours. Our pages have `Referrer-Policy: no-referrer`, under which `Origin` is `null` (Fetch, section 3.2), so
    an old browser without `Sec-Fetch-Site` is refused, with a page that says so: a token in somebody's log of
    referrers would be the worse evil.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return headers.get("origin") == public_origin


def read_form(content_type: str, body: bytes) -> FormPost:
    """The form in a request's body.

    Raises: MalformedRequest where it is none of ours; never with the values in it.
    """
    return _read(FormPost, content_type, body)


def read_choice(content_type: str, body: bytes) -> SelectedAccount:
    """The account that was chosen. Raises: as `read_form`."""
    chosen = _read(ChosenAccount, content_type, body)
    return SelectedAccount(chosen.consent, chosen.choice, chosen.cookie)


def _read(kind: type[F], content_type: str, body: bytes) -> F:
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
        return kind.model_validate(_grouped(pairs) if kind is FormPost else dict(pairs))
    except (ValueError, ValidationError):
        raise MalformedRequest("This is not a form of ours.") from None


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, object]:
    """`credentials.api_key=…` as `{"credentials": {"api_key": …}}`. Raises: ValueError for a name that stands twice."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands there twice")
    grouped: dict[str, object] = {group: {} for group in _GROUPS}
    for name, value in values.items():
        group, dot, rest = name.partition(".")
        if dot and group in _GROUPS:
            grouped[group] = {**grouped[group], rest: value}  # type: ignore[dict-item] # a group is a dict
        elif value or name not in {"integration_slug", "auth_type", "replace_account"}:
            grouped[name] = value
    return grouped
