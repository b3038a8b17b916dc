"""The popup's pages without a browser and without a database: headers, size, texts, and the contents of responses."""

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import pytest
from starlette.responses import Response

from one_runtime.connect.assets import POPUP_MODULES, STYLESHEETS, WINDOW_MODULES, load_assets
from one_runtime.connect.pages import Site, render
from one_runtime.connect.texts import ENGLISH
from one_runtime.connect.wire import ConnectBody, read_json
from one_runtime.connecting.popup import PopupShell, ShellState, SubmittedForm
from one_runtime.errors import InvalidInput, MalformedRequest

# 60,000 before the popup had a searchable list, which costs 4,000; 64,000 before it supported OAuth authorizations,
# whose waiting screen and outcomes cost 9,000; 75,000 before it worked inside every page and asked before it is left;
# 93,000 before the popup had a text of its own for each error, in the user's language.
POPUP_BYTES = 95_000
# 39,000 before the texts for each error, which both kinds of pages load.
WINDOW_BYTES = 43_000
STATIC = Path(str(resources.files("one_runtime.connect") / "static"))
TEMPLATES = STATIC.parent / "templates"
ORIGINS = ("https://app.example.com", "https://admin.example.com:8443")
SITE = Site(base="", assets_hash="0123456789abcdef0123")
OPEN = PopupShell("open", "0197-session", ORIGINS, "Northwind")
ENDED: tuple[ShellState, ...] = ("expired", "used", "failed", "cancelled")


def policy(page: Response) -> Mapping[str, str]:
    directives = page.headers["Content-Security-Policy"].split("; ")
    return {name: rest for name, _, rest in (directive.partition(" ") for directive in directives)}


def page_of(state: ShellState, *, framed: bool = True) -> Response:
    known = state != "unknown"
    origins = ORIGINS if known and state != "no_origins" else ()
    shell = PopupShell(state, "id" if known else None, origins, "Northwind" if known else None)
    return render(SITE, shell, ENGLISH, framed=framed)


def asset(name: str) -> bytes:
    file = load_assets().find(name, "en")
    assert file is not None
    return file.body


STATES: tuple[ShellState, ...] = ("open", "unknown", "no_origins", *ENDED)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("framed", [True, False])
def test_pages_load_and_run_only_our_own_resources(state: ShellState, framed: bool) -> None:
    directives = policy(page_of(state, framed=framed))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert directives["img-src"] == "'self' data:"
    assert directives["form-action"] == directives["base-uri"] == "'none'"
    assert "unsafe" not in page_of(state).headers["Content-Security-Policy"]


@pytest.mark.parametrize("state", STATES)
def test_pages_send_isolating_headers(state: ShellState) -> None:
    headers = page_of(state).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in headers


def test_frame_ancestors_names_exactly_the_allowed_origins() -> None:
    assert policy(render(SITE, OPEN, ENGLISH, framed=True))["frame-ancestors"] == " ".join(ORIGINS)


@pytest.mark.parametrize("state", ENDED)
def test_ended_session_may_be_framed_only_by_its_own_origins(state: ShellState) -> None:
    assert policy(page_of(state))["frame-ancestors"] == " ".join(ORIGINS)


def test_top_level_page_of_an_open_session_has_no_form_and_forbids_framing() -> None:
    page = render(SITE, OPEN, ENGLISH, framed=False)
    assert policy(page)["frame-ancestors"] == "'none'"
    assert b'data-state="top_level"' in page.body
    assert b"Open this from Northwind" in page.body
    assert b"<form" not in page.body


def test_page_that_any_site_may_frame_contains_nothing_about_a_session() -> None:
    page = page_of("unknown")
    assert policy(page)["frame-ancestors"] == "*"
    assert b'data-session=""' in page.body
    assert b'data-organization=""' in page.body


@pytest.mark.parametrize(
    "state,status",
    [("open", 200), ("unknown", 404), ("no_origins", 409), ("expired", 410), ("used", 410), ("cancelled", 410)],
)
def test_status_code_matches_the_state_of_the_page(state: ShellState, status: int) -> None:
    assert page_of(state).status_code == status


def test_name_with_markup_is_escaped() -> None:
    shell = PopupShell("expired", "id", ORIGINS, '<img src=x onerror="alert(1)">')
    assert b"<img" not in render(SITE, shell, ENGLISH, framed=True).body


@pytest.mark.parametrize("state", STATES)
def test_no_page_has_inline_script_or_style(state: ShellState) -> None:
    body = bytes(page_of(state).body).decode()
    assert re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", body) is None
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", body))


def test_no_page_names_another_host() -> None:
    body = bytes(render(SITE, OPEN, ENGLISH, framed=True).body).decode()
    addresses = re.findall(r'(?:href|src)="([^"#]+)"', body)
    assert addresses
    assert all(address.startswith(("/connect/assets/", "data:,")) for address in addresses)


def test_popup_fits_its_size_budget() -> None:
    html = len(render(SITE, OPEN, ENGLISH, framed=True).body)
    loaded = sum(len(asset(name)) for name in (*POPUP_MODULES, "popup.css"))
    assert html + loaded + len(load_assets().connect_js("en")) < POPUP_BYTES


def test_top_level_page_fits_its_size_budget() -> None:
    assert sum(len(asset(name)) for name in (*WINDOW_MODULES, *STYLESHEETS)) < WINDOW_BYTES


def test_served_scripts_omit_only_comments_and_indentation() -> None:
    for name, file in load_assets().files.items():
        if name.endswith(".css"):
            continue
        source = (STATIC / name).read_text(encoding="utf-8")
        served = file.body.decode().splitlines()
        assert "`" not in re.sub(r"`[^`\n]*`", "", source), f"{name}: a template over several lines would be changed"
        assert set(served) <= {line.strip() for line in source.splitlines()}
        assert not [line for line in served if line.startswith(("//", "/*", "* "))]


def test_served_stylesheets_omit_only_comments_and_space() -> None:
    for name, parts in STYLESHEETS.items():
        written = "".join((STATIC / part).read_text(encoding="utf-8") for part in parts)
        source = re.sub(r"/\*.*?\*/", "", written, flags=re.DOTALL)
        served = load_assets().files[name].body.decode()
        assert re.sub(r"\s", "", served) == re.sub(r"\s", "", source)
        assert re.findall(r'"[^"]*"', served) == re.findall(r'"[^"]*"', source)
        assert not re.search(r": [^;{}]*\{", re.sub(r"@media[^{]*", "", source)), (
            "a selector may not have a colon and a space"
        )


def test_every_stylesheet_is_part_of_a_served_one() -> None:
    parts = sorted(part for parts in STYLESHEETS.values() for part in parts)
    assert parts == sorted(path.name for path in STATIC.glob("*.css"))


def test_asset_urls_change_with_their_content() -> None:
    assert re.fullmatch(r"[0-9a-f]{20}", load_assets().hash)
    assert load_assets().hash == load_assets.__wrapped__().hash


def test_imported_scripts_are_served_and_preloaded() -> None:
    body = bytes(render(SITE, OPEN, ENGLISH, framed=True).body).decode()
    for known in (POPUP_MODULES, WINDOW_MODULES):
        for name in known:
            for imported in re.findall(r'from "\./([a-z.]+)"', asset(name).decode()):
                assert imported in known, f"{name} imports {imported}"
    assert [name for name in POPUP_MODULES if f"/{name}" not in body] == []


def test_scripts_use_no_storage_and_no_cookie_and_parse_no_markup() -> None:
    forbidden = re.compile(
        r"localStorage|sessionStorage|indexedDB|document\.cookie|innerHTML|outerHTML|insertAdjacentHTML|\beval\(|"
        r"window\.opener|caches\."
    )
    for path in STATIC.glob("*.js"):
        script = path.read_text(encoding="utf-8")
        if path.name == "authorization_window.js":  # our own window has an opener and drops it
            assert "window.opener = null;" in script
            script = script.replace("window.opener", "")
        assert forbidden.search(script) is None, path.name


def test_connect_js_imports_nothing_and_has_its_texts() -> None:
    script = load_assets().connect_js("en").decode()
    assert "__TEXTS__" not in script
    assert re.search(r"^\s*import\s", script, re.MULTILINE) is None
    assert ENGLISH["host.slow.title"] in script
    assert "export function createOneRuntime" in script


def test_every_used_text_exists_and_every_text_is_used() -> None:
    sources = [*STATIC.glob("*.js"), *TEMPLATES.rglob("*.html"), *STATIC.parent.glob("*.py")]
    written = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    names = set(re.findall(r"[\"'`]([a-z]+(?:\.[a-z_]+)+)[\"'`]", written))
    texts = ENGLISH.starting_with("")
    prefixes = {key.partition(".")[0] for key in texts}
    keys = {key for key in names if key.partition(".")[0] in prefixes and not key.endswith((".js", ".html", ".css"))}
    assert keys <= set(texts)
    composed = {
        key for key in texts if key.startswith(("notice.", "choice.", "message.", "failed.", "problem.", "field."))
    }
    assert set(texts) - keys - composed == set()


def test_scripts_contain_no_sentences() -> None:
    sentence = re.compile(r'"[A-Z][a-z]+ [a-z]+[^"]*"')
    for path in STATIC.glob("*.js"):
        lines = path.read_text(encoding="utf-8").splitlines()
        sentences = [
            line for line in lines if sentence.search(line) and "TypeError(" not in line and "Error(" not in line
        ]
        assert [line for line in sentences if not line.lstrip().startswith(("//", "*", "font:"))] == [], path.name


def test_texts_substitute_names_once() -> None:
    assert ENGLISH.text("notice.top_level.title", organization="{integration}") == "Open this from {integration}"


def test_name_cannot_reorder_or_hide_the_text_around_it() -> None:
    assert ENGLISH.text("head.title", integration="A\u202eB") == "Connect AB"
    long = ENGLISH.rich("head.plain", organization="<b>" + "x" * 254, integration="Z")
    assert long.startswith("<strong><bdi>&lt;b&gt;xxx")
    assert long.endswith("x…</bdi></strong> wants to connect <strong><bdi>Z</bdi></strong>")
    assert len(long) < 200


def test_response_to_a_refused_body_does_not_repeat_typed_values() -> None:
    canary = "canary-5f1d"
    with pytest.raises(InvalidInput) as refusal:
        read_json(ConnectBody, json.dumps({"auth_type": "api_key", "credentials": {"api_key": [canary]}}).encode())
    assert canary not in repr(refusal.value.errors) + str(refusal.value)
    assert refusal.value.errors[0].field == "credentials.api_key"


def test_error_for_many_unknown_fields_names_20_of_them() -> None:
    fields = {f"unknown_{number}": 1 for number in range(1000)}
    with pytest.raises(InvalidInput) as refused:
        read_json(ConnectBody, json.dumps({"auth_type": "api_key", **fields}).encode())
    assert len(refused.value.errors) == 20


def test_body_that_is_not_json_is_malformed_and_not_quoted() -> None:
    with pytest.raises(MalformedRequest) as refusal:
        read_json(ConnectBody, b'{"credentials": canary-5f1d')
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("value", ["a\0b", "x" * 20_000])
def test_values_with_nul_or_excessive_length_are_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        read_json(ConnectBody, json.dumps({"auth_type": "api_key", "credentials": {"api_key": value}}).encode())


def test_repr_hides_typed_values() -> None:
    body = read_json(ConnectBody, b'{"auth_type": "api_key", "credentials": {"api_key": "canary-5f1d"}}')
    request = SubmittedForm(**dict(body))
    assert request.credentials == {"api_key": "canary-5f1d"}
    assert "canary" not in repr(body) + repr(request)
