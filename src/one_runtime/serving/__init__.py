"""A server process, with uvicorn and the background tasks."""
