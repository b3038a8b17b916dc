"""The running installation: settings and resources, built once by `app.py` or the CLI and passed to every function."""

from dataclasses import dataclass, field
from datetime import timedelta

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import Clock
from one_runtime.db.engine import Database
from one_runtime.egress import Egress
from one_runtime.encryption.vault import Vault
from one_runtime.jobs.recheck_queue import RecheckQueue
from one_runtime.jobs.single_flight import SingleFlight
from one_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of a token refresh, in seconds.

    `lease`: time for which only one process may refresh a connection. `request`: time to wait for the provider,
    shorter than `lease`. So one process stops waiting before another process starts a refresh. `patience`: time
    for which other processes wait for the result. `poll`: time between two queries of a waiting process.
    """

    lease: timedelta = timedelta(seconds=60)
    request: float = 20.0
    patience: float = 30.0
    poll: float = 0.05


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings, and the resources that are built from the settings."""

    settings: Settings
    database: Database
    catalog: Catalog
    vault: Vault
    egress: Egress
    clock: Clock
    timing: Timing = Timing()
    flights: SingleFlight = field(default_factory=SingleFlight)
    rechecks: RecheckQueue = field(default_factory=RecheckQueue)
    proxy_egress: Egress | None = None
    """Outbound network of proxy calls. It has its own connections, so proxy calls take no connections from others."""
    catalogs: OrganizationCatalogs = field(init=False)
    """Catalogs of organizations, which include custom integrations. The field `catalog` is the built-in catalog."""

    @property
    def relay(self) -> Egress:
        """Return the outbound network for proxy calls."""
        return self.proxy_egress or self.egress

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalogs", OrganizationCatalogs(self.catalog))
