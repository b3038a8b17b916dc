"""`one-runtime demo`: One Runtime, a customer's product (the playground) and a provider (Acme CRM) on loopback."""
