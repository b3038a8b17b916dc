"""What a running installation consists of, handed to doors and flows. Made once, by `app.py` or the CLI."""

from dataclasses import dataclass, field
from datetime import timedelta

from one_runtime.catalog.loader import Catalog
from one_runtime.clock import Clock
from one_runtime.db.engine import Database
from one_runtime.egress import Egress
from one_runtime.settings import Settings
from one_runtime.single_flight import Flights
from one_runtime.vault import Vault


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a process has the renewal of a connection's tokens to itself (longer than a token request may take,
    `token_endpoint.LIMITS`), how long others wait for it, and how often, in seconds, they look."""

    lease: timedelta = timedelta(seconds=60)
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
    flights: Flights = field(default_factory=Flights)
