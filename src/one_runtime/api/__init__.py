"""The HTTP API, an entry point with one file per resource. Each route parses, calls one function, and renders."""
