"""OAuth tokens of connections: state, refresh and revocation."""
