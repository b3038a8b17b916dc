from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.urls import include, path
from one_runtime_client import OneRuntime
from one_runtime_client.django import SignedInUser, connect_urls

one_runtime = OneRuntime()  # reads ONE_RUNTIME_URL and ONE_RUNTIME_API_KEY
session = {"allowed_origins": ["http://localhost:3000"]}  # the origin of your page


def signed_in(request):
    return SignedInUser(str(request.user.pk)) if request.user.is_authenticated else None


@login_required
def contacts(request):
    response = one_runtime.proxy.get("acme", "/v1/contacts", end_user_id=str(request.user.pk))
    return JsonResponse(response.json(), status=response.status_code)


urlpatterns = [
    path("api/one-runtime/", include(connect_urls(one_runtime, signed_in, session=session))),
    path("contacts", contacts),
]
