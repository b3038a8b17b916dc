"""A receiver of webhooks in Django: a view for `path("hooks/one-runtime", receive)`."""

import os

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from one_runtime_client import WebhookVerificationError, webhooks


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    try:
        event = webhooks.verify(os.environ["WEBHOOK_SECRET"], request.headers, request.body)
    except WebhookVerificationError as error:
        return HttpResponse(error.detail, status=400)
    print(event.type, event.end_user_id)  # your code: put the event into a queue
    return HttpResponse(status=204)
