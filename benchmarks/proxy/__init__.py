"""Calls through the proxy: what it adds to the same calls without it, and what one that hangs does to the others."""
