"""An installation without the files of the demo: the server works, and refuses only the commands of the demo."""

import shutil
import sys
from pathlib import Path

import httpx2
import pytest

import one_runtime
from tests.fork_server import run
from tests.promises.serving import Serving, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the package as a wheel installs it, without the folder of the demo."""
    folder = tmp_path / "site-packages"
    omitted = shutil.ignore_patterns("demo", "__pycache__")
    shutil.copytree(Path(one_runtime.__file__).parent, folder / "one_runtime", ignore=omitted)
    return folder


async def test_installation_without_the_demo_serves_and_says_what_is_missing(
    installed: Path, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    what = Serving(migrated_sqlite_url, settings={"PYTHONPATH": str(installed)})
    async with serving(what, tmp_path) as served, httpx2.AsyncClient(base_url=served.url) as http:
        catalog = (await http.get("/v1/catalog/integrations")).json()["integrations"]
        assert len(catalog) > 400
        assert await served.command("organizations", "create", "Northwind")
        for words in (["demo"], ["serve", "--with-acme"]):
            process = run([sys.executable, "-m", "one_runtime", *words], served.environment)
            assert (process.returncode, process.stderr) == (
                1,
                "The demo is not installed: this installation contains only the server.\n",
            )
