"""What a form asks, ready to be shown: labels, present values, errors. A secret's value is never among them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from one_runtime.catalog.model import Auth
from one_runtime.catalog.parts import Option
from one_runtime.connect.posted import FormPost
from one_runtime.connect.texts import TEXTS
from one_runtime.connecting.popup import PopupView


@dataclass(frozen=True, slots=True)
class FormField:
    """One question. `path` is its name in the posted form; `pattern` is what the browser may check already; `again`: it
    was filled in before, and is not given back."""

    path: str
    label: str
    value: str
    error: str | None
    help: str | None = None
    placeholder: str | None = None
    pattern: str | None = None
    options: tuple[Option, ...] = ()
    suffix: str | None = None
    where: str | None = None
    where_url: str | None = None
    secret: bool = False
    optional: bool = False
    again: bool = False

    @property
    def id(self) -> str:
        """The element's id."""
        return f"field-{self.path.replace('.', '-')}"

    @property
    def described_by(self) -> str:
        """The ids of what belongs to it."""
        parts = {"error": True, "suffix": self.suffix, "again": self.again, "help": self.help}
        return " ".join(f"{self.id}-{name}" for name, there in parts.items() if there)


def asked_of(view: PopupView, auth: Auth, typed: FormPost | None, errors: Mapping[str, str]) -> tuple[FormField, ...]:
    """Every question of one way to connect, with what was typed before."""
    return (*_params(auth, typed, errors), *_fields(auth, typed, errors), *_name(view, typed, errors))


def _params(auth: Auth, typed: FormPost | None, errors: Mapping[str, str]) -> Iterator[FormField]:
    for param in auth.params:
        path = f"params.{param.name}"
        yield FormField(
            path=path,
            label=param.label,
            value=typed.params.get(param.name, "") if typed else param.default or "",
            error=errors.get(path),
            help=param.help,
            placeholder=param.placeholder,
            # A pattern holds for the transformed value, and only the server transforms: it alone can tell.
            pattern=None if param.transform else param.pattern,
            options=param.options,
            suffix=param.suffix,
        )


def _fields(auth: Auth, typed: FormPost | None, errors: Mapping[str, str]) -> Iterator[FormField]:
    for field in auth.fields:
        path = f"credentials.{field.name}"
        yield FormField(
            path=path,
            label=field.label,
            value=typed.credentials.get(field.name, "") if typed and not field.secret else "",
            error=errors.get(path),
            help=field.help,
            placeholder=field.placeholder,
            pattern=field.pattern,
            where=field.where,
            where_url=field.where_url,
            secret=field.secret,
            optional=field.optional,
            again=typed is not None and field.secret and bool(typed.credentials.get(field.name)),
        )


def _name(view: PopupView, typed: FormPost | None, errors: Mapping[str, str]) -> Iterator[FormField]:
    suggested = view.session.suggested_connection_name
    if suggested:
        yield FormField(
            path="name",
            label=TEXTS["field.name"],
            value=(typed.name or "") if typed else suggested,
            error=errors.get("name"),
            help=TEXTS["field.name.help"],
            optional=True,
        )
