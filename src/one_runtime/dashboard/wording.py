"""Say on pages what a member does there, where a message of One Runtime names a request of the API.

The messages are those of the API, so that there is one text for each error. The table contains the parts of messages
that name a request, and the words of the dashboard for them.
"""

import re
from typing import Final

from one_runtime.errors import OneRuntimeError

_ID: Final = r"[\w-]+"
_WORDS: Final = tuple(
    (re.compile(api), page)
    for api, page in (
        (
            r"GET /v1/catalog/integrations lists the built-in .*, and GET /v1/custom-integrations lists your own\.",
            "The page “Integrations” lists all integrations.",
        ),
        (
            r"GET /v1/custom-integrations lists your own integrations\.",
            "The page “Custom integrations” lists your own integrations.",
        ),
        (
            rf"PUT /v1/custom-integrations/{_ID} replaces it\.",
            "To replace it, open it on the page “Custom integrations”.",
        ),
        (r"To choose another slug, send PUT /v1/custom-integrations/x-…", "Change the title in the document"),
        (
            r"The page /docs describes both at POST /v1/custom-integrations, with an example",
            "The page “Integrations of your own” of the documentation describes both, with examples",
        ),
        (r"GET /v1/connections lists your connections\.", "The page “Connections” lists your connections."),
        (r"GET /v1/end-users lists your end users\.", "The page “End users” lists your end users."),
        (r"GET /v1/api-keys lists your API keys\.", "The page “API keys” lists your API keys."),
        (r"GET /v1/end-user-tokens lists the tokens\b", "The page “Agents” lists the tokens"),
        (r"GET /v1/webhook-endpoints lists your endpoints\.", "The page “Webhooks” lists your endpoints."),
        (
            rf"GET /v1/webhook-endpoints/{_ID}/deliveries lists the deliveries\.",
            "The page of the endpoint lists the deliveries.",
        ),
        (rf" with GET /v1/webhook-endpoints/{_ID}/pending\.", "."),
        (rf"with POST /v1/webhook-endpoints/{_ID}/rotate-secret\.", "on the page of the endpoint."),
        (
            rf'Send PATCH /v1/webhook-endpoints/{_ID} with \{{"status": "active"\}} first\.',
            "Activate it on its page first.",
        ),
        (r"(Enable it|Enable integrations) with PATCH /v1/organization", r"\1 on the page “Integrations”"),
        (
            r"GET /v1/organization shows them\. To add a URL, send the whole new list with PATCH /v1/organization\.",
            "The page “Settings” shows them.",
        ),
        (r"with PATCH /v1/organization", "on the page “Settings”"),
        (r"GET /v1/connections\?\S+ lists the connections", "The page “Connections” lists the connections"),
        (
            rf"with PUT /v1/integrations/{_ID}/oauth-client",
            "in the form “OAuth client” on the page of the integration",
        ),
        (
            r": `one-runtime oauth-clients set [^`]+`\.",
            ". An administrator can do this on the page of the integration.",
        ),
        (rf"`POST /v1/connections/{_ID}/refresh` tries at once\.", "“Refresh now” tries at once."),
        (
            rf'(?:: )?POST /v1/hosted-connection-sessions with "integration_slug": "{_ID}"\.',
            ". Create a reconnect link.",
        ),
    )
)
_CODE_IN_PARENTHESES: Final = re.compile(r" \([^()]*`[^()]*\)")


def in_page(text: str) -> str:
    """Return a message for a page: with the words of the dashboard instead of requests of the API."""
    if "/v1/" in text or "`one-runtime " in text:
        for pattern, words in _WORDS:
            text = pattern.sub(words, text)
    return text


def without_fields(text: str) -> str:
    """Return the explanation of an event type without the parts that only describe fields of the event."""
    return _CODE_IN_PARENTHESES.sub("", text).replace("`", "")


def problem_of(error: OneRuntimeError) -> str:
    """Return an error as sentences for a page. A message that is a whole sentence does not name its field."""
    if not error.errors:
        return error.detail
    return " ".join(each.sentence if each.is_predicate(each.message) else each.message for each in error.errors)
