"""Store webhook endpoints, and deliver events to them (Standard Webhooks 1.0.0). docs/webhooks.md describes the API."""
