"""Calls to a provider's API with an end user's credential."""
