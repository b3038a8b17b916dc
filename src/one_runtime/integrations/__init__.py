"""Integrations as an organization sees them: availability, the list, custom integrations, OAuth clients."""
