"""Encryption of credentials: the vault, the key ring and its rotation. Seal means encrypt; open means decrypt."""
