"""The OAuth 2.0 protocol as pure functions. The functions use no I/O and no clock.

The modules `authorization`, `token_request` and `revocation` build requests from a catalog entry and an OAuth client.
The modules `callback`, `token_response`, `error_response` and `revocation` read the provider's messages. Only
`pkce.new_code_verifier` returns a random value.
"""
