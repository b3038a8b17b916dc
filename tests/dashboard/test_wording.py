"""Pages name the pages and buttons of the dashboard, where messages name requests of the API."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from one_runtime.dashboard import wording
from one_runtime.dashboard.wording import in_page, problem_of, without_fields
from one_runtime.errors import FieldError, InvalidInput, NotFound
from one_runtime.tenancy.event_types import EventType
from tests.dashboard.team import Team, text_of
from tests.documentation import ROOT
from tests.source_files import nodes, python_files

PACKAGE: Final = ROOT / "src" / "one_runtime"
REQUEST: Final = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE) /v1/")
NOT_ON_PAGES: Final = {
    "connecting/sessions.py",  # no page shows a session
    "connecting/redirect_mode.py",
    "proxy/lookup.py",  # the playground shows the answer of the API
    "tenancy/event_types.py",  # pages show the explanation, not the documentation with its fields
    "tenancy/authentication.py",  # about the API key of a request
}
ENTRY_POINTS: Final = ("api", "cli", "connect", "dashboard", "demo", "doctor", "mcp")


def messages() -> Iterator[tuple[str, str]]:
    """Yield the texts of the domain that name a request of the API, with their files. Values are `x-1`."""
    for path in python_files("src/one_runtime"):
        file = path.relative_to(PACKAGE).as_posix()
        if file.split("/")[0] in ENTRY_POINTS or file.startswith("db/migrations/"):
            continue
        docstrings = {
            id(node.value)
            for node in nodes(path)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        inner = {id(part) for node in nodes(path) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes(path):
            if id(node) in docstrings | inner:
                continue
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "x-1" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.replace("{id}", "x-1").replace("{slug}", "x-1")
            else:
                continue
            if REQUEST.search(text) or "`one-runtime oauth-clients" in text:
                yield file, text


def test_every_message_that_a_page_can_show_has_words_for_pages() -> None:
    left = [(file, in_page(text)) for file, text in messages() if file not in NOT_ON_PAGES]
    assert len(left) > 15
    assert [each for each in left if "/v1/" in each[1] or "`one-runtime" in each[1]] == []
    texts = [text for file, text in messages() if file not in NOT_ON_PAGES]
    unused = [pattern.pattern for pattern, _ in wording._WORDS if not any(pattern.search(text) for text in texts)]
    assert unused == []
    assert {file for file, _ in messages()} > NOT_ON_PAGES


@pytest.mark.parametrize(
    "text,shown",
    [
        (
            "HubSpot is not enabled for your organization. Enable it with PATCH /v1/organization.",
            "HubSpot is not enabled for your organization. Enable it on the page “Integrations”.",
        ),
        (
            "Slack needs an OAuth client. Register a client with PUT /v1/integrations/slack/oauth-client.",
            "Slack needs an OAuth client. Register a client in the form “OAuth client” on the page of the integration.",
        ),
        (
            "There is no API key 'x'. GET /v1/api-keys lists your API keys.",
            "There is no API key 'x'. The page “API keys” lists your API keys.",
        ),
        ("The provider answered 500 to GET /v1/me.", "The provider answered 500 to GET /v1/me."),
    ],
)
def test_request_of_the_api_becomes_a_page(text: str, shown: str) -> None:
    assert in_page(text) == shown


def test_problem_names_a_field_only_if_the_message_needs_it() -> None:
    errors = [FieldError("name", "must not be blank"), FieldError("integration_slug", "Slack is disabled.")]
    assert problem_of(InvalidInput.of_all(errors)) == "name must not be blank. Slack is disabled."
    assert problem_of(NotFound("There is none.")) == "There is none."


def test_explanations_of_event_types_have_no_fields_on_pages() -> None:
    texts = {kind.value: without_fields(kind.explanation) for kind in EventType}
    assert texts["connection.updated"] == (
        "The name, the metadata or the default connection was changed, or a check found a missing permission."
    )
    assert not [text for text in texts.values() if '["' in text or "`" in text]


async def test_pages_show_the_words_of_the_dashboard(team: Team) -> None:
    browser = await team.browser()
    connection = await team.api.connect("user_1")
    await browser.submit("integrations/acme/disable")
    link, reconnect = "end-users/user_1/link", f"connections/{connection['id']}/link"
    for path in (link, reconnect, "playground/sessions", "integrations/acme/try"):
        fields = {"integration": "acme", "integration_slug": "acme", "end_user_id": "user_1"}
        text = text_of(await browser.post(path, fields))
        assert "Acme CRM is not enabled for your organization. Enable it on the page “Integrations”." in text, path
        assert "integration_slug" not in text.partition("Code")[0], path
    missing = await browser.get("integrations/nothing")
    assert missing.status_code == 404
    assert "/v1/" not in text_of(missing)
    await browser.submit(
        "settings", {"display_name": "North", "allowed_origins": "https://a.example", "several_connections": "refuse"}
    )
    audit = text_of(await browser.get("audit"))
    assert "Changed: allowed origins, display name" in audit
    assert "/v1/" not in audit
