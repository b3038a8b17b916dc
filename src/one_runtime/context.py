"""Define `Installation`: the settings of a process, and the objects that most functions need, such as the database.

`app.py` or the CLI builds one installation, and passes the installation to the other functions.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from one_runtime.catalog.disabled_integrations import DisabledIntegrations
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import Clock
from one_runtime.computing.functions import FunctionPool
from one_runtime.db.engine import Database
from one_runtime.db.row_counts import RowCounts
from one_runtime.egress.client import Egress
from one_runtime.encryption.password_hashing import PasswordHashing
from one_runtime.encryption.vault import Vault
from one_runtime.jobs.liveness import Liveness
from one_runtime.jobs.recheck_queue import RecheckQueue
from one_runtime.jobs.single_flight import SingleFlight
from one_runtime.jobs.token_hosts import TokenHosts
from one_runtime.settings import Settings
from one_runtime.telemetry.failure_log import FailureLog


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of a token refresh. The numbers are in seconds.

    - `lease`: time for which one process reserves a connection for a refresh.
    - `answer`: maximum time for which a caller waits for the provider. The request continues after this time.
    - `request`: maximum time to wait for the provider. This time must end before the lease ends. After the lease,
      another process can start a refresh.
    - `patience`: maximum time for which another process waits for the result of the refresh.
    - `store`: maximum time for which a process tries to store new tokens.
    - `poll`: time between two database queries of a waiting process.
    """

    lease: timedelta = timedelta(seconds=60)
    answer: float = 20.0
    request: float = 55.0
    patience: float = 30.0
    store: float = 600.0
    poll: float = 0.05


@dataclass(frozen=True, slots=True)
class Installation:
    """The settings, and the objects that are built from the settings."""

    settings: Settings
    database: Database
    catalog: Catalog
    vault: Vault
    egress: Egress
    clock: Clock
    timing: Timing = Timing()
    flights: SingleFlight = field(default_factory=SingleFlight)
    rechecks: RecheckQueue = field(default_factory=RecheckQueue)
    liveness: Liveness = field(default_factory=Liveness)
    disabled: DisabledIntegrations = field(default_factory=DisabledIntegrations)
    token_hosts: TokenHosts = field(default_factory=TokenHosts)
    failures: FailureLog = field(default_factory=FailureLog)
    unopened_sessions: RowCounts = field(default_factory=RowCounts)
    passwords: PasswordHashing = field(default_factory=PasswordHashing)
    computing: FunctionPool = field(default_factory=FunctionPool)
    proxied: Egress | None = None
    """Separate outbound network for proxy calls, so that proxy calls cannot use up the connections of other requests.

    None: proxy calls use `egress`.
    """
    webhooks: Egress | None = None
    """Separate outbound network for webhooks, so that slow receivers cannot use up the connections of other requests.

    None: webhooks use `egress`.
    """
    catalogs: OrganizationCatalogs = field(init=False)
    """The catalogs of all organizations, with custom integrations. `catalog` has only the built-in integrations."""

    @property
    def proxy_egress(self) -> Egress:
        """Return the outbound network for proxy calls."""
        return self.proxied or self.egress

    @property
    def webhook_egress(self) -> Egress:
        """Return the outbound network for webhooks."""
        return self.webhooks or self.egress

    def use(self, settings: Settings) -> None:
        """Replace the settings after a reload. Nothing else of the installation changes."""
        object.__setattr__(self, "settings", settings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalogs", OrganizationCatalogs(self.catalog))
