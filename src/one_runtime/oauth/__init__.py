"""Build and read the messages of OAuth 2.0. The functions do no I/O. The current time is an argument.

The modules `authorization`, `token_request` and `revocation` build requests from a catalog entry (an integration's
definition) and an OAuth client. The modules `callback`, `token_response`, `error_response` and `revocation` read the
provider's messages. All functions are pure, except `pkce.new_code_verifier`, which returns a random value.
"""
