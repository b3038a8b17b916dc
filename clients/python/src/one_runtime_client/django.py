"""Routes of your backend for `@one-runtime/react`, in Django."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings  # type: ignore[import-untyped]
from django.core import checks  # type: ignore[import-untyped]
from django.http import HttpRequest, JsonResponse  # type: ignore[import-untyped]
from django.urls import URLPattern, path  # type: ignore[import-untyped]
from django.urls.resolvers import RoutePattern  # type: ignore[import-untyped]
from django.views.decorators.csrf import csrf_exempt  # type: ignore[import-untyped]

from one_runtime_client.backend_routes import (
    Refusal,
    SignedInUser,
    answer_to,
    check_origin,
    check_user,
    list_of,
    read_input,
    session_arguments,
    slug_to_disconnect,
)
from one_runtime_client.client import OneRuntime
from one_runtime_client.errors import OneRuntimeError

__all__ = ["SignedInUser", "connect_urls"]

_SECURITY_MIDDLEWARE = "django.middleware.security.SecurityMiddleware"


def connect_urls(
    client: OneRuntime,
    user: Callable[[HttpRequest], SignedInUser | None],
    *,
    session: Mapping[str, Any] | None = None,
    allowed_origins: Sequence[str] = (),
) -> list[URLPattern]:
    """Return the routes `sessions`, `integrations` and `disconnect`, for `include`.

    The routes compare the origin of the request. So they need no CSRF token. `manage.py check` warns if the settings of
    your project keep the popup from opening the sign-in window of a provider.

    Args:
        client: The client of One Runtime.
        user: A function that returns the `SignedInUser`, or None without a signed-in user. The function reads the user
            from your login session, never from the body.
        session: Options of each session, such as `metadata`.
        allowed_origins: Origins of your pages, if the routes have another origin than the pages.
    """

    def integrations(signed_in: SignedInUser, _: Mapping[str, Any]) -> Any:
        return list_of(client.integrations.list(end_user_id=signed_in.id, expand="connections"))

    def sessions(signed_in: SignedInUser, values: Mapping[str, Any]) -> Any:
        created = client.sessions.create(**session_arguments(signed_in, values, session or {}))
        return {"session_token": created.session_token}

    def disconnect(signed_in: SignedInUser, values: Mapping[str, Any]) -> Any:
        done = client.disconnect(integration_slug=slug_to_disconnect(values), end_user_id=signed_in.id)
        return {"status": done.status}

    def view(method: str, act: Callable[[SignedInUser, Mapping[str, Any]], Any]) -> Callable[..., JsonResponse]:
        def answer(request: HttpRequest) -> Any:
            if request.method != method:
                raise Refusal(405, "method_not_allowed", f"This route allows only {method}.")
            if method == "POST":
                check_origin(request.headers, allowed_origins)
            signed_in = check_user(user(request))
            return act(signed_in, read_input(request.headers, request.body) if method == "POST" else {})

        exempt: Callable[..., JsonResponse] = csrf_exempt(lambda request: _answer(answer, request))
        return exempt

    return [
        path("integrations", view("GET", integrations)),
        _SessionsRoute(RoutePattern("sessions", is_endpoint=True), view("POST", sessions)),
        path("disconnect", view("POST", disconnect)),
    ]


class _SessionsRoute(URLPattern):  # type: ignore[misc] # Django has no types
    """The route that creates sessions. Django calls `check` of each route, in `manage.py check` and `runserver`.

    A check that is registered with `django.core.checks` would need an entry in INSTALLED_APPS.
    """

    def check(self) -> list[checks.CheckMessage]:
        warnings: list[checks.CheckMessage] = super().check()
        sends_policy = _SECURITY_MIDDLEWARE in settings.MIDDLEWARE
        if sends_policy and settings.SECURE_CROSS_ORIGIN_OPENER_POLICY == "same-origin":
            warnings.append(_opener_policy_warning())
        return warnings


def _opener_policy_warning() -> checks.CheckMessage:
    return checks.Warning(
        "Your pages send the header Cross-Origin-Opener-Policy: same-origin, the default of Django. So no user can "
        "connect an account by OAuth in the popup of One Runtime: the sign-in window cannot reach the popup.",
        hint=(
            'Set SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups". If only some of your pages show the '
            "popup, and these pages send this value themselves, silence the warning in SILENCED_SYSTEM_CHECKS."
        ),
        id="one_runtime_client.W001",
    )


def _answer(answer: Callable[[HttpRequest], Any], request: HttpRequest) -> JsonResponse:
    """Return the answer of a route, or its refusal, as JSON."""
    try:
        status, body = 200, answer(request)
    except (Refusal, OneRuntimeError) as error:
        status, body = answer_to(error)
    return JsonResponse(body, status=status, headers={"cache-control": "no-store"})
