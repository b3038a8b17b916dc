"""The README's code, in a new project of Django and in Express: a user connects an account, and the product uses it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx2
import pytest
from playwright.async_api import Page, expect

from tests.demo.steps import choose_signing_in
from tests.demo.test_signing_in import press
from tests.documentation import page as documentation
from tests.foreign.process import NODE, ROOT
from tests.ports import free_port
from tests.running_demo import Demo, find_popup
from tests.waiting import attempts

pytestmark = pytest.mark.slow

SNIPPETS: Final = ROOT / "docs" / "snippets"
MOST_LINES: Final = 12
_CALL: Final = re.compile(
    r"^@login_required.*?\n\n\n|^    path\(.contacts.*?\n|^app\.get.*?^}\);\n", re.MULTILINE | re.DOTALL
)
_OF_ANY_PRODUCT: Final = ("import ", "from ", "}", "]", "urlpatterns", "const app", "app.use(express", "app.listen")
ADMIN: Final = {"USERNAME": "ada", "PASSWORD": "of-a-test", "EMAIL": "ada@example.com"}
SETTING: Final = 'SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"'
OTHER_URLS: Final = """
from django.contrib import admin
from django.views.generic import TemplateView

urlpatterns += [path("admin/", admin.site.urls), path("", TemplateView.as_view(template_name="page.html"))]
"""
"""The routes of a product that the README does not show: a login, and the page."""
LOGIN: Final = """
import express from "express";
Object.defineProperty(express.request, "user", { value: { id: "user-of-express" } });
"""
"""A login in Express, as a module that Node loads before the program."""


def snippet(name: str, demo: Demo, port: int = 3000) -> str:
    """Return a snippet with the URL of the demo and the port of the product instead of the README's."""
    text = (SNIPPETS / name).read_text("utf-8")
    return text.replace("http://127.0.0.1:8000", demo.url).replace("3000", str(port))


def variables(demo: Demo) -> dict[str, str]:
    own = {"ONE_RUNTIME_URL": demo.url, "ONE_RUNTIME_API_KEY": demo.api_key}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "clients" / "python" / "src"), **own}


@contextmanager
def serving(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str], origin: str) -> Iterator[None]:
    """Run a product's server in a folder until the block ends."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT)

    try:
        for _ in attempts():
            assert process.poll() is None, (folder / "server.log").read_text()
            with suppress(httpx2.TransportError):
                httpx2.get(origin)
                break
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def django(demo: Demo, tmp_path: Path) -> Iterator[str]:
    """The origin of a new project of Django with the README's files."""
    port = free_port()
    environ = {**variables(demo), **{f"DJANGO_SUPERUSER_{name}": value for name, value in ADMIN.items()}}

    def manage(*words: str) -> None:
        subprocess.run([sys.executable, *words], cwd=tmp_path, env=environ, check=True, stdout=subprocess.PIPE)

    manage("-m", "django", "startproject", "product", ".")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text(snippet("page.html", demo))
    (tmp_path / "product" / "urls.py").write_text(snippet("django_urls.py", demo, port) + OTHER_URLS)
    with (tmp_path / "product" / "settings.py").open("a") as settings:
        settings.write(f"TEMPLATES[0]['DIRS'] = [BASE_DIR / 'templates']\n{SETTING}\n")
    manage("manage.py", "migrate", "--verbosity", "0")
    manage("manage.py", "createsuperuser", "--noinput")
    manage("manage.py", "check", "--fail-level", "WARNING")
    origin = f"http://localhost:{port}"
    with serving([sys.executable, "manage.py", "runserver", "--noreload", str(port)], tmp_path, environ, origin):
        yield origin


@pytest.fixture
def express(demo: Demo, installed_packages: Path) -> Iterator[str]:
    """The origin of the README's program in Express, with a login."""
    port = free_port()
    folder = installed_packages / "readme"
    (folder / "public").mkdir(parents=True, exist_ok=True)
    (folder / "public" / "index.html").write_text(snippet("page.html", demo))
    (folder / "server.mjs").write_text(snippet("express.mjs", demo, port))
    (folder / "login.mjs").write_text(LOGIN)
    origin = f"http://localhost:{port}"
    with serving([NODE, "--import", "./login.mjs", "server.mjs"], folder, variables(demo), origin):
        yield origin


async def connect_and_read_contacts(page: Page, origin: str) -> None:
    await page.get_by_role("button", name="Connect Acme CRM").click()
    frame = await find_popup(page)
    async with page.expect_popup() as opening:
        await choose_signing_in(frame)
    await press(await opening.value, "Allow")
    await expect(page.locator("#connect")).to_have_text("Globex Corporation is connected")
    await page.goto(f"{origin}/contacts")
    await expect(page.locator("body")).to_contain_text("priya@hammond.example")


@pytest.mark.docs
def test_readme_names_the_setting_of_django() -> None:
    assert f"In `settings.py`, add `{SETTING}`" in documentation("README.md").prose


@pytest.mark.docs
async def test_code_for_django_connects_an_account_and_reads_its_contacts(page: Page, django: str) -> None:
    await page.goto(f"{django}/admin/login/?next=/")
    await page.get_by_label("Username").fill(ADMIN["USERNAME"])
    await page.get_by_label("Password").fill(ADMIN["PASSWORD"])
    await page.get_by_role("button", name="Log in").click()
    await connect_and_read_contacts(page, django)


@pytest.mark.foreign
async def test_code_for_express_connects_an_account_and_reads_its_contacts(page: Page, express: str) -> None:
    await page.goto(express)
    await connect_and_read_contacts(page, express)


@pytest.mark.docs
@pytest.mark.parametrize("backend", ["django_urls.py", "express.mjs"])
def test_twelve_lines_connect_an_account(backend: str) -> None:
    """Count the lines of backend and page without imports, brackets, the call, and lines that every product has."""
    server = _CALL.sub("", (SNIPPETS / backend).read_text("utf-8"))
    page = (SNIPPETS / "page.html").read_text("utf-8")
    script = page.partition('<script type="module">')[2].partition("</script>")[0]
    lines = [line.strip() for line in (server + script).splitlines()]
    assert len([line for line in lines if line and not line.startswith(_OF_ANY_PRODUCT)]) <= MOST_LINES
