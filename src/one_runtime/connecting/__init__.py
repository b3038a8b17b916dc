"""Connect the accounts of end users. The HTTP routes are in other packages."""
