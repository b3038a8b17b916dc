"""Connect the accounts of end users, and delete connections. The HTTP routes are in other packages."""
