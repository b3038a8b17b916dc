"""The demo runs One Runtime with a sample product and a sample provider (Acme CRM)."""
