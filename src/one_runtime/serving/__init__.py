"""A server process: uvicorn, and the background tasks."""
