"""The hosted popup, an entry point: it parses requests, calls `connecting`, and renders. It stores nothing."""
