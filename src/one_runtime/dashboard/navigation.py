"""List the sections of the dashboard's menu."""

from typing import Final, NamedTuple

from one_runtime.tenancy.roles import Permission


class Section(NamedTuple):
    """An entry of the menu. `path`: the path below the organization. `permission`: the roles that see the entry."""

    path: str
    name: str
    permission: Permission
    group: str


SECTIONS: Final = (
    Section("", "Overview", "read", ""),
    Section("integrations", "Integrations", "read", ""),
    Section("end-users", "End users", "read", ""),
    Section("connections", "Connections", "read", ""),
    Section("requests", "Requests", "read", "Activity"),
    Section("webhooks", "Webhooks", "read", "Activity"),
    Section("agents", "Agents", "read", "Activity"),
    Section("audit", "Audit log", "read", "Activity"),
    Section("playground", "Playground", "use", "Build"),
    Section("custom-integrations", "Custom integrations", "read", "Build"),
    Section("api-keys", "API keys", "develop", "Build"),
    Section("members", "Members", "read", "Organization"),
    Section("settings", "Settings", "read", "Organization"),
)
