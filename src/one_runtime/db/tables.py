"""Collect all tables: those of `schema`, of webhooks, of agents and of the dashboard."""

from typing import Final

from one_runtime.db import agent_tables, dashboard_tables, schema, webhook_tables

MODULES: Final = (schema, webhook_tables, agent_tables, dashboard_tables)
"""The modules that define tables. Each module adds its tables to `metadata`."""

metadata: Final = schema.metadata
"""All tables."""
