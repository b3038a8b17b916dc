"""The demo runs One Runtime with a sample product (the playground) and a sample provider (Acme CRM)."""
