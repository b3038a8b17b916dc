"""Define the resources of the API."""
