"""Routes of the Django project: the login form, django-oauth-toolkit under `/o/`, and `/me`."""

from django.contrib.auth.views import LoginView  # type: ignore[import-untyped]
from django.http import HttpRequest, JsonResponse  # type: ignore[import-untyped]
from django.urls import include, path  # type: ignore[import-untyped]
from oauth2_provider.decorators import protected_resource  # type: ignore[import-untyped]


def _me(request: HttpRequest) -> JsonResponse:
    """Return the owner of the token: a person, or the client itself (client credentials)."""
    person = request.resource_owner
    if person is None:
        return JsonResponse({"id": "the-client-itself", "name": "The client itself"})
    return JsonResponse({"id": str(person.pk), "name": person.username, "email": person.email})


urlpatterns = [
    path("login/", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("me", protected_resource(advertise_metadata=True)(_me)),
]
