"""Integrations of an organization: availability, list, custom integrations and OAuth clients."""
