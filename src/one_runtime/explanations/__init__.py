"""Explanations of codes for people: what happened, and what to do. Each text exists only in this folder.

The page `/docs/errors`, events and webhooks contain the texts. The documentation has the same texts, with links, and a
test compares both. A code can have different meanings in different places: for example, the error `client_refused` of
the API does not require the end user to connect again.
"""
