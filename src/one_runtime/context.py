"""What a running installation consists of, handed to doors and flows. Made once, by `app.py` or the CLI."""

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
    """How long a process has the renewal of a connection's tokens to itself; within how many seconds of that the
    provider has to have answered, so that who has lost the lease has given up before another begins; how long others
    wait for it, and how often, in seconds, they look."""

    lease: timedelta = timedelta(seconds=60)
    request: float = 20.0
    patience: float = 30.0
    poll: float = 0.05


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings and the resources made from them."""

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
    """The way out for calls on end users' behalf: connections of its own, so that they take none from the others."""
    catalogs: OrganizationCatalogs = field(init=False)
    """The catalog as each organization sees it; `catalog` is what everybody sees."""

    @property
    def relay(self) -> Egress:
        """The way out for calls on end users' behalf."""
        return self.proxy_egress or self.egress

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalogs", OrganizationCatalogs(self.catalog))
