"""Proxy calls: the time that the proxy adds, and the effect of a hanging provider on other providers."""
