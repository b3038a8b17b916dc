"""A receiver of webhooks in Flask."""

import os

from flask import Flask, request
from one_runtime_client import WebhookVerificationError, webhooks

app = Flask(__name__)


@app.post("/hooks/one-runtime")
def receive() -> tuple[str, int]:
    try:
        event = webhooks.verify(os.environ["WEBHOOK_SECRET"], request.headers, request.get_data())
    except WebhookVerificationError as error:
        return error.detail, 400
    print(event.type, event.end_user_id)  # your code: put the event into a queue
    return "", 204
