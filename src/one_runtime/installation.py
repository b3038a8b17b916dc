"""What a running installation consists of, handed to doors and flows. Made once, by `app.py` or the CLI."""

from dataclasses import dataclass

from one_runtime.catalog.loader import Catalog
from one_runtime.clock import Clock
from one_runtime.db.engine import Database
from one_runtime.egress import Egress
from one_runtime.settings import Settings
from one_runtime.vault import Vault


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings and the resources made from them."""

    settings: Settings
    database: Database
    catalog: Catalog
    vault: Vault
    egress: Egress
    clock: Clock
