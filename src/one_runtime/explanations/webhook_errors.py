"""Explain why webhook deliveries failed, and why One Runtime disabled webhook endpoints."""

from typing import Final

from one_runtime.errors import Explanation, Explanations

DISABLED_ENDPOINTS: Final[Explanations] = {
    "gone": Explanation(
        "Your server answered with the status 410.",
        "If the endpoint should receive events again, correct your server and activate the endpoint.",
    ),
    "failing": Explanation(
        "All attempts of five days failed, and there were at least ten attempts.",
        "Correct your server. Then activate the endpoint, and replay the missing events.",
    ),
    "overflow": Explanation(
        (
            "More than 100,000 events waited at a pull endpoint or at a paused endpoint, or an event waited for more "
            "than 72 hours."
        ),
        (
            "Start the program that fetches the events of a pull endpoint. Then activate the endpoint, and replay the "
            "missing events."
        ),
    ),
    "secret_lost": Explanation(
        "The operator lost the encryption key of the secret.",
        "Create a new secret with `POST …/rotate-secret`. Then activate the endpoint, and replay the missing events.",
    ),
}
"""Reasons for which One Runtime disables a webhook endpoint, by `disabled_reason`."""

DELIVERY_ERRORS: Final[Explanations] = {
    "target_refused": Explanation(
        "The address is not on the public internet, and the operator does not allow the address.",
        "Use an address on the public internet, or ask the operator to allow the address.",
    ),
    "upstream_unreachable": Explanation(
        (
            "One Runtime could not connect: the name has no address, the server refuses connections, or the TLS "
            "certificate is not valid."
        ),
        "Check the URL, the DNS entry and the certificate of your server.",
    ),
    "upstream_timeout": Explanation(
        "Your server did not answer within 15 seconds.",
        "Answer first, and process the event afterwards.",
    ),
    "upstream_protocol_error": Explanation(
        "The response is not valid HTTP.",
        "Check your server, and the proxies before your server.",
    ),
    "endpoint_disabled": Explanation(
        "One Runtime disabled the endpoint before it sent the message.",
        "Activate the endpoint, and replay the missing events.",
    ),
    "end_user_deleted": Explanation(
        "Your organization deleted the end user of the event before One Runtime sent the message.",
        "There is nothing to do.",
    ),
}
"""Errors of webhook deliveries and of their attempts, by `error_code`."""
