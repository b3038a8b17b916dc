"""The hosted popup, an entry point: it parses requests, calls `connecting`, and renders pages. It stores nothing."""
