"""Define the asynchronous resources of the API."""
