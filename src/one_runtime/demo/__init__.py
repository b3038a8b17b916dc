"""`one-runtime demo`: One Runtime, a sample product (the playground) and a sample provider (Acme CRM) on loopback."""
