"""The HTTP API: one file per resource. Entry points parse, call one function, and render."""
