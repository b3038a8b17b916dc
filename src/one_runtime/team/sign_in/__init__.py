"""Sign in members of the dashboard."""
