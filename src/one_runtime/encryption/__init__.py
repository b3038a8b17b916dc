"""Encrypt (seal) and decrypt (open) stored credentials, and rotate the encryption keys."""
