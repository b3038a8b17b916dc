"""Collect all tables: those of `schema`, and those of webhooks."""

from typing import Final

from one_runtime.db.webhook_tables import webhook_endpoints

metadata: Final = webhook_endpoints.metadata
"""All tables. `webhook_tables` imports `schema`, so this module imports both."""
