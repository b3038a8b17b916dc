"""The OAuth 2.0 protocol, pure: bytes in, bytes out. No I/O, no clock; what is random is `pkce.new_verifier` alone.

From an entry of the catalog and a client to requests (`authorization`, `token`, `revocation`), and from a provider's
answers to values or typed errors (`callback`, `tokens`, `revocation`). Every public function names its RFC.
"""
