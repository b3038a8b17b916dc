"""Create, repair and delete connections: sessions, popup, OAuth authorization and disconnecting."""
