"""The dashboard: web pages for the team of an organization, on a listener of their own."""
