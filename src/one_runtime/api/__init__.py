"""The HTTP API, with one file for each resource.

Each route parses the request, calls one function, and renders the result of the function.
"""
