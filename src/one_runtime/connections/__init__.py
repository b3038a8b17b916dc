"""Store connections and their encrypted credentials."""
