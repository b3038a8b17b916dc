"""Routes of your backend for `@one-runtime/react`, in FastAPI and Starlette."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

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
from one_runtime_client.client import AsyncOneRuntime
from one_runtime_client.errors import OneRuntimeError

__all__ = ["SignedInUser", "connect_router"]


def connect_router(
    client: AsyncOneRuntime,
    user: Callable[..., Any],
    *,
    session: Mapping[str, Any] | None = None,
    allowed_origins: Sequence[str] = (),
) -> APIRouter:
    """Return a router with the routes `/sessions`, `/integrations` and `/disconnect`.

    Args:
        client: The client of One Runtime.
        user: A dependency of FastAPI that returns the `SignedInUser`, or None without a signed-in user. The dependency
            reads the user from your login session, never from the body.
        session: Options of each session, such as `metadata`.
        allowed_origins: Origins of your pages, if the routes have another origin than the pages.
    """
    router = APIRouter()
    SignedIn = Annotated[SignedInUser | None, Depends(user)]  # noqa: N806 - it is a type

    async def integrations(user: SignedIn) -> Any:
        signed_in = check_user(user)
        return list_of(await client.integrations.list(end_user_id=signed_in.id, expand="connections"))

    async def sessions(request: Request, user: SignedIn) -> Any:
        check_origin(request.headers, allowed_origins)
        arguments = session_arguments(check_user(user), await _input(request), session or {})
        return {"session_token": (await client.sessions.create(**arguments)).session_token}

    async def disconnect(request: Request, user: SignedIn) -> Any:
        check_origin(request.headers, allowed_origins)
        signed_in = check_user(user)
        slug = slug_to_disconnect(await _input(request))
        done = await client.disconnect(integration_slug=slug, end_user_id=signed_in.id)
        return {"status": done.status}

    for method, endpoint in (("GET", integrations), ("POST", sessions), ("POST", disconnect)):
        router.add_api_route(f"/{endpoint.__name__}", _answering(endpoint), methods=[method], include_in_schema=False)
    return router


def _answering(endpoint: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[JSONResponse]]:
    """Return an endpoint that answers refusals as JSON."""

    @wraps(endpoint)
    async def answer(*args: Any, **kwargs: Any) -> JSONResponse:
        try:
            status, body = 200, await endpoint(*args, **kwargs)
        except (Refusal, OneRuntimeError) as error:
            status, body = answer_to(error)
        return JSONResponse(jsonable_encoder(body), status, {"cache-control": "no-store"})

    return answer


async def _input(request: Request) -> dict[str, Any]:
    return read_input(request.headers, await request.body())
