"""Define an example of a custom integration, for the API reference and for the dashboard's editor."""

from typing import Any, Final

EXAMPLE: Final[dict[str, Any]] = {
    "slug": "x-acme-billing",
    "name": "Acme Billing",
    "description": "Invoices of Acme's own billing service.",
    "category": "Accounting",
    "website": "https://acme.example",
    "docs": "https://docs.acme.example/api",
    "auth": [
        {
            "type": "api_key",
            "fields": [
                {
                    "name": "api_key",
                    "label": "API key",
                    "where": "In Acme Billing, open Settings, then API keys.",
                    "pattern": "ab_[A-Za-z0-9]{32}",
                }
            ],
            "base_url": "https://billing.acme.example/v1",
            "send": {"headers": {"Authorization": "Bearer {api_key}"}},
            "check": {"path": "/me", "expect": {"json": [{"path": "id", "exists": True}]}},
            "identity": {"id": "id", "label": "name"},
            "verified": {"how": "unverified"},
        }
    ],
}
