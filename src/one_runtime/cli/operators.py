"""Name the operator, the person who runs a command. Events of commands contain this name."""

import os
import pwd
from typing import Final

from one_runtime.clock import system_clock
from one_runtime.db.engine import Transaction
from one_runtime.settings import is_operator_name, load_settings
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.installation_events import InstallationEventType, record_for_installation

_SUDO_USER: Final = "SUDO_USER"


def operator_name() -> str:
    """Return the operator's name: `ONE_RUNTIME_OPERATOR`, the user who ran sudo, or the user of this process."""
    name = load_settings().operator or os.environ.get(_SUDO_USER, "").strip()
    return name if is_operator_name(name) else _process_user()


def operator_actor(organization_id: str) -> Actor:
    """Return the actor of an event that a command writes in an organization."""
    return Actor(organization_id, "system", operator_name())


async def record_command(tx: Transaction, kind: InstallationEventType, **data: str) -> None:
    """Write an event of the installation. `tx`: the transaction of the command's change. `data`: no secrets."""
    await record_for_installation(tx, operator_name(), kind, system_clock(), data)


def _process_user() -> str:
    user_id = os.getuid()
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:  # in a container, the user can lack an entry in /etc/passwd
        return f"uid {user_id}"
