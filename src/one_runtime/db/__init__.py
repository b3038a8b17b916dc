"""Store data in SQLite or PostgreSQL, with the same tables and the same statements."""
