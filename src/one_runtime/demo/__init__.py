"""`one-runtime demo`: One Runtime, the playground (a sample product) and Acme CRM (a sample provider) on loopback."""
