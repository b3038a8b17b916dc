"""Encryption of credentials: the vault, the key ring and its rotation. To seal is to encrypt; to open is to decrypt."""
