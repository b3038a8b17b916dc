"""Compute in processes of their own, so that the event loop of the server stays free (promise P17)."""
