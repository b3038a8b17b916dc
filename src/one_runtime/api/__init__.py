"""The HTTP API, an entry point with one file per resource: it parses requests, calls one function, and renders."""
