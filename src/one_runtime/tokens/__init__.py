"""OAuth tokens of connections: their state, refreshing them, revoking them at the provider."""
