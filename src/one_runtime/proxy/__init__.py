"""Call the APIs of providers with the credentials of end users."""
