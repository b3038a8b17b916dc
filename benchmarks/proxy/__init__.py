"""Proxy calls: their overhead over direct calls, and the effect of a hanging provider on others."""
