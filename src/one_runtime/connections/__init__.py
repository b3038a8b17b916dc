"""Connections and their encrypted credentials."""
