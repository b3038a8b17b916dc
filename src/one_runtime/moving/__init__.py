"""Move the configuration of an organization between installations."""
