"""The hosted popup: a door. It parses, calls `connect_flow`, and renders; it keeps nothing."""
