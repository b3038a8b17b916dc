"""Refresh and revoke the OAuth tokens of connections."""
