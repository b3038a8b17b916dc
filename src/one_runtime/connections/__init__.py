"""Connections and their sealed credentials."""
