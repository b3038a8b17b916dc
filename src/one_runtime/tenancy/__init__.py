"""Store organizations, API keys, end users and events, and authenticate requests."""
