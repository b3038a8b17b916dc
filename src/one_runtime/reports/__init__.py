"""Queries of pages over several domains. They only read."""
