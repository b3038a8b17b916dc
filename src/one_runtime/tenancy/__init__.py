"""Organizations, API keys, end users and events, and the authentication of requests."""
