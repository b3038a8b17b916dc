"""A receiver of webhooks in FastAPI."""

import os

from fastapi import FastAPI, Request, Response
from one_runtime_client import WebhookVerificationError, webhooks

app = FastAPI()


@app.post("/hooks/one-runtime")
async def receive(request: Request) -> Response:
    try:
        event = webhooks.verify(os.environ["WEBHOOK_SECRET"], request.headers, await request.body())
    except WebhookVerificationError as error:
        return Response(error.detail, status_code=400)
    print(event.type, event.end_user_id)  # your code: put the event into a queue
    return Response(status_code=204)
