"""The OAuth 2.0 protocol as pure functions, without I/O and without a clock.

`authorization`, `token_request` and `revocation` build requests from a catalog entry and a client. `callback`,
`token_response`, `error_response` and `revocation` read a provider's messages and return values or typed errors.
Only `pkce.new_code_verifier` is random.
"""
