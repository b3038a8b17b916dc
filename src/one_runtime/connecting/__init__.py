"""Let end users connect their accounts, and delete connections. The package contains the steps, but no HTTP routes."""
