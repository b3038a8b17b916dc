"""Organizations with their API keys, end users and events; authentication."""
