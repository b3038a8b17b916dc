"""A Django project in the process of the tests. Django reads its settings only once, so all tests share the project."""

from collections.abc import Sequence
from typing import Any

import django  # type: ignore[import-untyped]
from django.conf import settings  # type: ignore[import-untyped]
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]
from django.urls import clear_url_caches  # type: ignore[import-untyped]

urlpatterns: list[Any] = []
"""The routes of the project, whose URL configuration is this module."""


def django_site(routes: Sequence[Any]) -> Any:
    """Return the ASGI application of the project with these routes."""
    if not settings.configured:
        middleware = ["django.middleware.csrf.CsrfViewMiddleware"]
        settings.configure(
            ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of-a-test", MIDDLEWARE=middleware, USE_TZ=True
        )
        django.setup()
    urlpatterns[:] = routes
    clear_url_caches()
    return get_asgi_application()
