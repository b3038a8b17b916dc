"""Read the settings of One Runtime from environment variables, at the start and, in part, after SIGHUP.

`python -m scripts.docs_tables` writes the table of docs/settings.md from the class `Settings`.
"""

import difflib
import ipaddress
import os
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from one_runtime.errors import ConfigurationError, FieldError
from one_runtime.validation.descriptions import describe

PREFIX: Final = "ONE_RUNTIME_"
_INJECTED: Final = re.compile(r"(_PORT(_.*)?|_SERVICE(_.*)?|_HOST)$")
"""Variables such as `ONE_RUNTIME_PORT`, which Kubernetes adds if a service is called `one-runtime`.

One Runtime ignores these variables.
"""
_OF_CUSTOMERS: Final = frozenset({"ONE_RUNTIME_URL", "ONE_RUNTIME_API_KEY", "ONE_RUNTIME_WEBHOOK_SECRET"})
"""Variables that the documentation uses for a backend of a customer. The server ignores these variables."""

_MAX_OPERATOR_NAME: Final = 255
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
OPENID_CONFIGURATION: Final = "/.well-known/openid-configuration"
"""Path of a provider's configuration, after the issuer (OpenID Connect Discovery 1.0, section 4)."""

_RELOADED: Final[dict[str, Any]] = {"reloaded": True}
"""Mark of a setting that a running server reads again after SIGHUP (`serving/reloading.py`)."""

HostPort: TypeAlias = tuple[str, int]
OidcRole: TypeAlias = Literal["support", "developer", "admin", "owner"]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(BaseModel):
    """The settings of one installation. Each setting has an environment variable with the prefix `ONE_RUNTIME_`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    public_url: str = Field(
        "http://127.0.0.1:8000",
        title="origin",
        description="Address at which browsers reach One Runtime. All links start with this address. If "
        "ONE_RUNTIME_LISTEN has a loopback host, the default is http:// followed by ONE_RUNTIME_LISTEN.",
    )
    listen: str = Field("127.0.0.1:8000", title="host:port", description="Address and port of the server.")
    dashboard_url: str = Field(
        "",
        title="origin",
        description="Address at which browsers of your team reach the dashboard. Its host must differ from the host of "
        "ONE_RUNTIME_PUBLIC_URL. If ONE_RUNTIME_DASHBOARD_LISTEN has a loopback host, the default is http:// followed "
        "by ONE_RUNTIME_DASHBOARD_LISTEN. Without both settings, there is no dashboard.",
    )
    dashboard_listen: str = Field(
        "", title="host:port", description="Address and port of the dashboard. The server opens a separate port for it."
    )
    dashboard_mask_end_users: bool = Field(
        True,
        description="With true, members with the role `support` see e-mail addresses of end users only as "
        "`a…@example.com`. [Masked addresses](dashboard.md#masked-e-mail-addresses) explains the limits.",
    )
    oidc_issuer: str = Field(
        "",
        title="URL",
        description="Issuer of your OpenID provider, at which members of your team can sign in to the dashboard. The "
        "page [Sign-in with your OpenID provider](openid.md) explains this setting and the next settings.",
    )
    oidc_client_id: str = Field("", title="id", description="Client id of the dashboard at the OpenID provider.")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="Client secret of the dashboard at the OpenID provider."
    )
    oidc_allowed_domains: frozenset[str] = Field(
        frozenset(),
        title="domains",
        description="E-mail domains, separated by commas. People with a verified address in these domains can join "
        "without an invitation.",
    )
    oidc_organization: str = Field(
        "",
        title="organization id",
        description="Organization of ONE_RUNTIME_OIDC_ALLOWED_DOMAINS and ONE_RUNTIME_OIDC_ROLES. Not necessary if the "
        "installation has only one organization.",
    )
    oidc_groups_claim: str = Field(
        "groups", title="claim", description="Claim of the OpenID provider that lists a person's groups."
    )
    oidc_roles: tuple[tuple[str, OidcRole], ...] = Field(
        (),
        title="group=role list",
        description="Roles of people by their group at the OpenID provider, such as acme-admins=admin. Separate the "
        "entries by commas. The roles are support, developer, admin and owner. The highest role counts.",
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///one-runtime.db"),
        description="URL of the database: sqlite:///file.db or postgresql://user:password@host/name.",
    )
    database_direct_url: SecretStr = Field(
        SecretStr(""),
        description="URL of PostgreSQL itself, for migrations, if ONE_RUNTIME_DATABASE_URL is the URL of a connection "
        "pooler such as PgBouncer.",
    )
    database_pool_size: int = Field(
        10, ge=1, le=500, description="Maximum number of PostgreSQL connections of each process."
    )
    encryption_keys: SecretStr = Field(
        SecretStr(""),
        json_schema_extra=_RELOADED,
        description="Key ring: 32-byte keys in base64, separated by commas. On a new database, the first key becomes "
        "the active key.",
    )
    workers: int = Field(
        1, ge=1, le=256, description="Number of server processes. More than one process needs PostgreSQL."
    )
    drain_seconds: int = Field(
        0,
        ge=0,
        le=60,
        description="Number of seconds for which a server continues to accept requests after SIGTERM. Meanwhile, "
        "/readyz answers 503.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (),
        title="networks",
        description="Networks of reverse proxies, separated by commas. One Runtime trusts X-Forwarded-For from these "
        "networks.",
    )
    egress_allow: frozenset[HostPort] = Field(
        frozenset(),
        title="host:port list",
        description="Private hosts to which One Runtime may send requests. Each entry is host:port. Separate the "
        "entries by commas. Every organization can then reach these hosts, with custom integrations and webhook "
        "endpoints.",
    )
    rate_limit: int = Field(
        6000,
        ge=0,
        json_schema_extra=_RELOADED,
        description="Maximum number of requests per minute with one API key, in each process. 0 means no limit.",
    )
    unopened_sessions: int = Field(
        50_000,
        ge=0,
        json_schema_extra=_RELOADED,
        description="Maximum number of hosted connection sessions of one organization that no browser has opened. 0 "
        "means no limit.",
    )
    proxy_calls: int = Field(
        256,
        ge=1,
        description="Maximum number of concurrent proxy calls of one organization, in each process. Calls to one "
        "integration can use half of this number.",
    )
    proxy_max_bytes: int = Field(
        0,
        ge=0,
        description="Maximum number of bytes of each request body and each response body in a proxy call. 0 means no "
        "limit.",
    )
    body_timeout: int = Field(
        60,
        ge=1,
        le=3600,
        description="Maximum number of seconds to wait for the next part of a caller's request body.",
    )
    request_retention_days: int = Field(
        7, ge=0, le=3650, description="Number of days to keep the entries of the request log. 0 disables the log."
    )
    event_retention_days: int = Field(90, ge=1, le=3650, description="Number of days to keep events.")
    tools_file: str = Field(
        "one-runtime-tools.db",
        title="path",
        description="File with the functions that `one-runtime tools fetch` adds for agents. The file can be missing.",
    )
    mcp_organization: str = Field(
        "",
        title="organization id",
        description="Organization whose end users can sign in at the address /v1/mcp. The address of every other "
        "organization is /v1/mcp/<organization id>.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        json_schema_extra=_RELOADED,
        description="Lowest level of the log lines that One Runtime writes.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="Format of the log: one JSON object on each line (json), or plain text (console). `auto` means "
        "console if standard error is a terminal, and otherwise json.",
    )
    access_log: Literal["problems", "all"] = Field(
        "problems",
        json_schema_extra=_RELOADED,
        description="Requests in the access log: every request (all), or only requests that took at least 5 s or got "
        "a status of 500 or above (problems).",
    )
    metrics_listen: str = Field(
        "", title="host:port", description="Address and port of the Prometheus metrics, for operators only."
    )
    operator: str = Field(
        "",
        title="name",
        description="Name of the person who runs a command, for the audit log. Without this setting, One Runtime uses "
        "`SUDO_USER` or the user of the process.",
    )

    @model_validator(mode="before")
    @classmethod
    def _derive_urls(cls, values: object) -> object:
        """If a URL is missing and its listener has a loopback host, derive the URL from the listener."""
        if not isinstance(values, dict):
            return values
        derived = dict(values)
        for url, listen in (("public_url", "listen"), ("dashboard_url", "dashboard_listen")):
            if not derived.get(url) and isinstance(derived.get(listen), str):
                with suppress(ValueError):  # `_check_listen` reports an invalid address
                    if is_loopback(parse_host_port(derived[listen])[0]):
                        derived[url] = f"http://{derived[listen].strip()}"
        return derived

    @field_validator("public_url", "dashboard_url")
    @classmethod
    def _check_url(cls, value: str, others: ValidationInfo) -> str:
        if not value and others.field_name == "dashboard_url":
            return value
        try:
            url = urlsplit(value)
            _ = url.port  # raises ValueError for an invalid port
        except ValueError:
            url = urlsplit("")
        if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/") or url.query or url.fragment:
            raise ValueError("must be an origin such as https://connect.example.com, without a path")
        if url.username or url.password:
            raise ValueError("must not contain a user name or a password")
        if url.scheme == "http" and not is_loopback(url.hostname):
            raise ValueError("must be https. Only localhost, names under localhost, 127.0.0.0/8 and [::1] can use http")
        standard_port = ":443" if url.scheme == "https" else ":80"  # browsers omit this port
        return f"{url.scheme}://{url.netloc.lower().removesuffix(standard_port).removesuffix(':')}"

    @field_validator("mcp_organization", "oidc_organization")
    @classmethod
    def _check_organization(cls, value: str) -> str:
        with suppress(ValueError):
            return str(uuid.UUID(value)) if value else value
        raise ValueError("must be the id of an organization. `one-runtime organizations list` shows the ids")

    @model_validator(mode="after")
    def _check_dashboard(self) -> Self:
        """Browsers isolate the dashboard from the popup by the origin, and cookies by the host name."""
        if bool(self.dashboard_url) != bool(self.dashboard_listen):
            missing, present = "DASHBOARD_LISTEN", "DASHBOARD_URL"
            if not self.dashboard_url:
                missing, present = present, missing
            raise ValueError(f"{PREFIX}{present} also needs {PREFIX}{missing}")
        if self.dashboard_url:
            host, public_host = (urlsplit(url).hostname or "" for url in (self.dashboard_url, self.public_url))
            if self.dashboard_url == self.public_url or (host == public_host and not is_loopback(host)):
                raise ValueError(f"{PREFIX}DASHBOARD_URL must have another host than {PREFIX}PUBLIC_URL")
        return self

    @field_validator("listen", "metrics_listen", "dashboard_listen")
    @classmethod
    def _check_listen(cls, value: str, others: ValidationInfo) -> str:
        if value:
            parse_host_port(value)
        if value and value == others.data.get("listen"):
            raise ValueError("must differ from ONE_RUNTIME_LISTEN")
        return value

    @field_validator("operator")
    @classmethod
    def _check_operator(cls, value: str) -> str:
        name = value.strip()
        if name and not is_operator_name(name):
            raise ValueError(f"must have at most {_MAX_OPERATOR_NAME} characters, all printable")
        return name

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        try:
            url = urlsplit(value)
            _ = url.port  # raises ValueError for an invalid port
        except ValueError:
            url = urlsplit("")
        if value and (not url.hostname or re.search(r"[?#@\\\s]", value)):
            raise ValueError("must be the URL of the provider, such as https://login.example.com, without a query")
        if value and url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
            raise ValueError("must be https. Only a provider on a loopback host can use http")
        return value.removesuffix(OPENID_CONFIGURATION)

    @field_validator("oidc_allowed_domains", mode="before")
    @classmethod
    def _split_domains(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        domains = frozenset(part.lower().removeprefix("@") for part in _parts(value))
        for domain in domains:
            if not _DOMAIN.fullmatch(domain):
                raise ValueError(f"has {domain!r}, which must be a domain such as example.com")
        return domains

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _split_roles(cls, value: object) -> object:
        return tuple(map(_parse_role, filter(str.strip, value.split(",")))) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_oidc(self) -> Self:
        required = {
            "ONE_RUNTIME_OIDC_ISSUER": self.oidc_issuer,
            "ONE_RUNTIME_OIDC_CLIENT_ID": self.oidc_client_id,
            "ONE_RUNTIME_OIDC_CLIENT_SECRET": self.oidc_client_secret.get_secret_value(),
        }
        rules = {
            "ONE_RUNTIME_OIDC_ALLOWED_DOMAINS": self.oidc_allowed_domains,
            "ONE_RUNTIME_OIDC_ORGANIZATION": self.oidc_organization,
            "ONE_RUNTIME_OIDC_ROLES": self.oidc_roles,
        }
        present = [name for name, value in (required | rules).items() if value]
        missing = [name for name, value in required.items() if not value]
        if present and (missing or not self.dashboard_url):
            raise ValueError(f"{present[0]} also needs {' and '.join(missing or ['ONE_RUNTIME_DASHBOARD_URL'])}")
        return self

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        return tuple(map(_parse_network, _parts(value))) if isinstance(value, str) else value

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _split_targets(cls, value: object) -> object:
        return frozenset(parse_host_port(part) for part in _parts(value)) if isinstance(value, str) else value

    @property
    def migration_url(self) -> str:
        """Return the URL for migrations."""
        return self.database_direct_url.get_secret_value() or self.database_url.get_secret_value()

    @property
    def has_direct_url(self) -> bool:
        """Return True if migrations have a URL of their own."""
        return bool(self.database_direct_url.get_secret_value())

    @property
    def logs_all_requests(self) -> bool:
        """Return True if the log has a line for each request, not only for slow and failed ones."""
        return self.access_log == "all"

    @property
    def secure(self) -> bool:
        """Return True if browsers reach One Runtime over https."""
        return self.public_url.startswith("https://")


RELOADED: Final = frozenset(name for name, field in Settings.model_fields.items() if field.json_schema_extra)
"""Names of the settings that a running server reads again after SIGHUP."""

FROM_FILES: Final = RELOADED | {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
"""Names of the settings that can be in a file. The environment of a running process cannot change, but a file can."""


def load_settings(environ: Mapping[str, str] = os.environ, *, workers: int | None = None) -> Settings:
    """Return the settings from environment variables.

    For a setting of `FROM_FILES`, the variable `<NAME>_FILE` can contain the path of a file with the value. `workers`:
    the option `--workers` of the command line. This option replaces the variable `ONE_RUNTIME_WORKERS`.

    Raises: ConfigurationError. The message says what to change.
    """
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    values: dict[str, Any] = {}
    for variable in (name for name in environ if name.startswith(PREFIX)):
        name = variable.removesuffix("_FILE")
        if variable in known:
            if environ[variable]:
                values[known[variable]] = environ[variable]
        elif known.get(name) in FROM_FILES:
            if environ[variable]:
                values[known[name]] = _read_value(variable, environ[variable])
        elif variable not in _OF_CUSTOMERS and not _INJECTED.search(variable):
            raise ConfigurationError(_unknown(variable, known))
    if workers is not None:
        values["workers"] = workers
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if not first["loc"]:
            raise ConfigurationError(f"{describe(first)}.") from None
        variable = PREFIX + str(first["loc"][0]).upper()
        raise ConfigurationError(FieldError(variable, describe(first)).sentence) from None


def parse_host_port(text: str) -> HostPort:
    """Parse `host:port`, or `[address]:port` with an IPv6 address. Raises: ValueError."""
    host, separator, port = text.strip().rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} must be host:port, such as 127.0.0.1:8000")
    return host.strip("[]").lower(), int(port)


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Raises: ValueError."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} must be an address or a network, such as 10.0.0.0/8") from error


def _parse_role(text: str) -> tuple[str, str]:
    """Parse `group=role`. A group can contain spaces and `=`. Raises: ValueError."""
    group, _, role = (part.strip() for part in text.rpartition("="))
    if not group or role not in get_args(OidcRole):
        raise ValueError(f"{text.strip()!r} must be group=role. The roles are {', '.join(get_args(OidcRole))}")
    return group, role


def _parts(value: str) -> list[str]:
    return [part for part in value.replace(",", " ").split() if part]


def is_operator_name(text: str) -> bool:
    """Return True if the text is short and printable, so that it can name an operator in the audit log."""
    return 0 < len(text) <= _MAX_OPERATOR_NAME and text.isprintable()


def is_loopback(host: str) -> bool:
    """Return True for `localhost`, for a name that ends in `.localhost`, and for a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _read_value(variable: str, path: str) -> str:
    """Raises: ConfigurationError, without the path: operators also write the secret itself here by mistake."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{variable} names a file that cannot be read ({reason}). It must be the path of a file with the value. "
            f"Only {variable.removesuffix('_FILE')} can have the value itself."
        ) from error


def _unknown(variable: str, known: Mapping[str, str]) -> str:
    names = [name.removeprefix(PREFIX) for name in known]
    close = difflib.get_close_matches(variable.removeprefix(PREFIX), names, n=1)
    hint = f" Did you mean {PREFIX}{close[0]}?" if close else " docs/settings.md lists all settings."
    return f"{variable} is not a setting of One Runtime.{hint}"
