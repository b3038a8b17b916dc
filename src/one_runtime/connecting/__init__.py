"""Making, repairing and ending connections: sessions, popup, OAuth authorization, disconnecting."""
