"""Send outbound requests (egress). The server sends requests to providers only through this package.

The package keeps three promises of docs/security.md. P1: organizations never share a connection to a provider.
`Egress.for_tenant` returns the egress of one organization. P7: One Runtime sends no requests to private addresses.
P12: a provider's failure does not affect requests to other providers.

One Runtime checks every request and every redirect in this order. Steps 3 and 4 apply to new connections only:
1. `target.parse` parses the URL strictly. The scheme must be http or https.
2. `target.check` checks the port and the host. The host is a name or an IP address.
3. `connector` checks every IP address to which the name resolves.
4. `connector` checks the IP address to which the socket is about to connect.
`addresses` lists the refused ranges.

Proxy calls have their own `Egress` object. Checks of credentials and OAuth requests use another `Egress` object. The
objects share no connections and no threads, so slow proxy calls do not delay an OAuth request.
"""
