"""Serve the hosted popup: parse the browser's requests, call the package `connecting`, and render pages."""
