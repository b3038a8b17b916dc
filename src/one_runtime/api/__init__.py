"""Serve the HTTP API, with one module for each resource.

Each route parses the request, calls one function, and renders the result of the function.
"""
