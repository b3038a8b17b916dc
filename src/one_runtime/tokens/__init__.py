"""OAuth tokens of connections: their state, their refresh, and their revocation at the provider."""
