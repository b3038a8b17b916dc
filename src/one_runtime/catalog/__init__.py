"""Integrations as data: their auth types, requests, checks and logos."""
