"""The playground: list integrations, create a session, and call a provider, as a backend does over the API.

The server makes the calls for the signed-in member, with the functions that the API uses. No page needs an API key.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from starlette.responses import Response

from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.calls import METHODS, AgentCall, AgentCalls, AgentResponse
from one_runtime.agents.response_reading import Reading
from one_runtime.connecting import new_session
from one_runtime.connecting.new_session import NewSession
from one_runtime.dashboard.code_examples import CodeExample, CodeExamples
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.suggestions import Suggestions, find_suggestions
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import InvalidInput, OneRuntimeError
from one_runtime.integrations.listing import reload_state
from one_runtime.integrations.rendering import Options
from one_runtime.tenancy.agent_policy import UNLIMITED
from one_runtime.tenancy.end_users import EndUser

MAX_SHOWN: Final = 20_000
"""Maximum number of characters of a response that a page shows."""

MAX_IDENTIFIER: Final = 255
MAX_BODY: Final = 256 * 1024

_PATH: Final = f"{ORGANIZATION}/playground"
_MODES: Final = (("link", "Link"), ("embed", "Embedded in this page"))

pages = Pages()


@dataclass(frozen=True, slots=True)
class Shown:
    """A response as the page shows it. `status`: the status line. `is_cut`: True if the text is not complete."""

    status: str
    body: str
    headers: Mapping[str, str]
    is_cut: bool = False

    @classmethod
    def of(cls, status: str, body: str, headers: Mapping[str, str] | None = None) -> "Shown":
        """Return the response with at most `MAX_SHOWN` characters."""
        return cls(status, body[:MAX_SHOWN], headers or {}, len(body) > MAX_SHOWN)

    @classmethod
    def failure(cls, error: OneRuntimeError) -> "Shown":
        """Return an error of One Runtime, as the API answers it."""
        problem = {"title": error.title, "status": error.status, "detail": error.detail, "code": error.code}
        return cls.of(f"{error.status} {error.title}", _indented(problem), {"one-runtime-error": error.code})


@pages.get(_PATH, access="use")
async def show_list(visit: Visit) -> Response:
    """List the integrations of an end user."""
    end_user_id, search, status = visit.query("end_user_id"), visit.query("search"), visit.query("status")
    options = {name: value for name, value in (("search", search), ("status", status)) if value}
    shown, errors = None, None
    if "end_user_id" in visit.request.query_params:
        errors = _problem_of(end_user_id)
        if errors is None:
            shown = await _listed(visit, end_user_id, search or None, status)
    examples = _examples(visit).list_integrations(end_user_id or "user_123", {**options, "logo": "none"})
    values = {"end_user_id": end_user_id, "search": search, "status": status}
    return _render(visit, "list", values, examples, shown, errors, suggestions=await find_suggestions(visit))


@pages.get(f"{_PATH}/sessions", access="use")
async def show_session_form(visit: Visit) -> Response:
    """Show the form for a session."""
    return await _session_page(visit, _session_values(visit.request.query_params))


@pages.post(f"{_PATH}/sessions", access="use")
async def create_session(visit: Visit) -> Response:
    """Create a session, and show its link once."""
    form = await visit.form()
    values = _session_values({name: str(form.get(name, "")) for name in ("end_user_id", "integration_slug", "mode")})
    errors = _problem_of(values["end_user_id"])
    if errors is not None:
        return await _session_page(visit, values, errors=errors)
    settings, mode = visit.installation.settings, cast("Literal['link', 'embed']", values["mode"])
    new = NewSession(
        end_user=EndUser(values["end_user_id"], None, None, visit.now, visit.now),
        integration_slug=values["integration_slug"].lower() or None,
        mode=mode,
        allowed_origins=(settings.dashboard_url,) if mode == "embed" else (),
    )
    try:
        async with visit.installation.database.write() as tx:
            session, token = await new_session.create_session(tx, visit.installation, visit.actor, new)
    except InvalidInput as error:
        return await _session_page(visit, values, errors=FormErrors.of(error, tuple(values)))
    except OneRuntimeError as error:
        return await _session_page(visit, values, shown=Shown.failure(error))
    connect_url = f"{settings.public_url}/connect?session_token={token.secret}"
    answer = {"id": session.id, "mode": session.mode, "end_user_id": session.end_user_id}
    return await _session_page(
        visit, values, shown=Shown.of("200 OK", _indented(answer)), connect_url=connect_url, token=token.secret
    )


@pages.get(f"{_PATH}/calls", access="use")
async def show_call_form(visit: Visit) -> Response:
    """Show the form for a call."""
    values = _call_values(visit.request.query_params)
    suggestions = await find_suggestions(visit, values["integration_slug"].lower())
    return await _call_page(visit, {**values, "path": values["path"] or suggestions.path or "/"}, suggestions)


@pages.post(f"{_PATH}/calls", access="use")
async def call_provider(visit: Visit) -> Response:
    """Call a provider with the connection of an end user, and show the response."""
    form = await visit.form()
    names = ("end_user_id", "integration_slug", "method", "path", "body")
    values = _call_values({name: str(form.get(name, "")) for name in names})
    errors = _problem_of(values["end_user_id"]) or _problem_of_call(values)
    if errors is not None:
        return await _call_page(visit, values, errors=errors)
    path, _, query = values["path"].partition("?")
    body = values["body"].encode() or None
    requested = AgentCall(
        integration_slug=values["integration_slug"].lower(),
        method=values["method"],
        path=path,
        query=query,
        body=body,
        headers=(("content-type", "application/json"),) if body else (),
    )
    caller = AgentCaller(visit.organization_id, values["end_user_id"], visit.actor, UNLIMITED)
    calls = AgentCalls(visit.installation, visit.services.proxy_calls)
    try:
        request_id = visit.request.scope["request_id"]
        response = await calls.call(caller, requested, Reading.indented(MAX_SHOWN), request_id=request_id)
    except OneRuntimeError as error:
        return await _call_page(visit, values, shown=Shown.failure(error))
    return await _call_page(visit, values, shown=_shown(response))


async def _listed(visit: Visit, end_user_id: str, search: str | None, status: str) -> Shown:
    selected = status if status in {"connected", "not_connected"} else None
    options = Options(search=search, status=cast("Literal['connected', 'not_connected'] | None", selected), logo="none")
    async with visit.installation.database.read() as tx:
        state = await reload_state(tx, visit.installation, visit.organization_id, end_user_id)
    lists = visit.services.integration_list
    body = lists.body(lists.listed(state, options), end_user_id)
    return Shown.of("200 OK", _indented(json.loads(body)))


def _shown(response: AgentResponse) -> Shown:
    """Return a provider's response."""
    status, is_cut = f"{response.status} from the provider", response.truncated is not None
    return Shown(status, response.body.decode(), response.headers, is_cut)


def _problem_of(end_user_id: str) -> FormErrors | None:
    """Return the error of an invalid identifier."""
    if 0 < len(end_user_id) <= MAX_IDENTIFIER:
        return None
    problem = f"Enter your own identifier of an end user, with 1 to {MAX_IDENTIFIER} characters."
    return FormErrors({"end_user_id": problem})


def _problem_of_call(values: Mapping[str, str]) -> FormErrors | None:
    problems = {}
    if not values["integration_slug"]:
        problems["integration_slug"] = "Enter the slug of an integration, such as hubspot."
    if values["method"] not in METHODS:
        problems["method"] = f"Choose one of {', '.join(METHODS)}."
    if not values["path"].startswith("/") or not values["path"].isascii() or not values["path"].isprintable():
        problems["path"] = "Enter a path that begins with / and is percent-encoded, such as /crm/v3/objects/contacts."
    if len(values["body"].encode()) > MAX_BODY:
        problems["body"] = f"Enter at most {MAX_BODY // 1024} kB."
    return FormErrors(problems) if problems else None


def _session_values(given: Mapping[str, str]) -> dict[str, str]:
    mode = given.get("mode", "")
    return {
        "end_user_id": given.get("end_user_id", "").strip(),
        "integration_slug": given.get("integration_slug", "").strip(),
        "mode": mode if mode in dict(_MODES) else "link",
    }


def _call_values(given: Mapping[str, str]) -> dict[str, str]:
    return {
        "end_user_id": given.get("end_user_id", "").strip(),
        "integration_slug": given.get("integration_slug", "").strip(),
        "method": given.get("method", "") or "GET",
        "path": given.get("path", "").strip(),
        "body": given.get("body", "").strip(),
    }


async def _session_page(
    visit: Visit,
    values: Mapping[str, str],
    *,
    shown: Shown | None = None,
    errors: FormErrors | None = None,
    connect_url: str | None = None,
    token: str | None = None,
) -> Response:
    fields: dict[str, object] = {"end_user_id": values["end_user_id"] or "user_123"}
    if values["integration_slug"]:
        fields["integration_slug"] = values["integration_slug"]
    extra = {"mode": "link"} if values["mode"] == "link" else {"allowed_origins": ["https://app.example.com"]}
    examples = _examples(visit).create_session({**fields, **extra})
    suggestions = await find_suggestions(visit, with_enabled=True)
    secrets = {"connect_url": connect_url, "token": token}
    return _render(visit, "sessions", values, examples, shown, errors, suggestions=suggestions, modes=_MODES, **secrets)


async def _call_page(
    visit: Visit,
    values: Mapping[str, str],
    suggestions: Suggestions | None = None,
    *,
    shown: Shown | None = None,
    errors: FormErrors | None = None,
) -> Response:
    end_user_id, slug = values["end_user_id"] or "user_123", values["integration_slug"] or "hubspot"
    examples = _examples(visit).call_provider(end_user_id, slug, values["method"], values["path"], values["body"])
    methods = [(method, method) for method in METHODS]
    found = suggestions or await find_suggestions(visit)
    return _render(visit, "calls", values, examples, shown, errors, suggestions=found, methods=methods)


def _render(
    visit: Visit,
    page: str,
    values: Mapping[str, str],
    examples: list[CodeExample],
    shown: Shown | None,
    errors: FormErrors | None,
    **more: object,
) -> Response:
    return visit.render(
        f"playground/{page}.html",
        status=422 if errors else 200,
        title="Playground",
        values=values,
        examples=examples,
        shown=shown,
        errors=errors,
        max_shown=MAX_SHOWN,
        **more,
    )


def _examples(visit: Visit) -> CodeExamples:
    return CodeExamples(visit.installation.settings.public_url)


def _indented(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
