"""How an end user makes, repairs and ends a connection: sessions, popup, OAuth authorization, disconnecting."""
