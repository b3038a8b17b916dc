"""The hosted popup: an entry point that parses requests, calls `connecting` and renders pages.

The package stores nothing.
"""
