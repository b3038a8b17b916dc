"""The HTTP API: one file per resource. Doors parse, call one function, and render."""
