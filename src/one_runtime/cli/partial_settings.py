"""Read single settings of the server, for commands that need no database. Ignore errors in all other settings."""

import os
from pathlib import Path

from one_runtime.egress.target import AllowList
from one_runtime.errors import ConfigurationError
from one_runtime.settings import PREFIX, Settings, load_settings


def load_egress_allow() -> AllowList:
    """Return the targets that the operator allows. Raises: ConfigurationError."""
    return _load_only("EGRESS_ALLOW").egress_allow


def allows_http() -> bool:
    """Return True if the public URL is an http URL. Raises: ConfigurationError."""
    return not _load_only("PUBLIC_URL").secure


def load_tools_file() -> Path:
    """Return the path of the file with the functions that the operator added. Raises: ConfigurationError."""
    return Path(_load_only("TOOLS_FILE").tools_file)


def dashboard_address(url: str) -> str:
    """Return the address of the dashboard that a command received as an option. Raises: ConfigurationError."""
    # A listener is required beside the URL, and the public URL must differ. This command uses neither.
    listen = {f"{PREFIX}DASHBOARD_LISTEN": "127.0.0.1:8003", f"{PREFIX}PUBLIC_URL": "https://one-runtime.invalid"}
    try:
        return load_settings({f"{PREFIX}DASHBOARD_URL": url, **listen}).dashboard_url
    except ConfigurationError as error:
        raise ConfigurationError(error.detail.replace(f"{PREFIX}DASHBOARD_URL", "--dashboard-url")) from None


def _load_only(name: str) -> Settings:
    variable = PREFIX + name
    return load_settings({variable: os.environ[variable]} if variable in os.environ else {})
