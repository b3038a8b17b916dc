"""Sealing of credentials: the vault, the key ring and its rotation."""
