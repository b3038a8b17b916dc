"""Run a server process with uvicorn, and list its background tasks."""
