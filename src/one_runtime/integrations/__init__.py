"""Manage the integrations of an organization: availability, list, custom integrations and OAuth clients."""
