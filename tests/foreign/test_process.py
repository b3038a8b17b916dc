"""A foreign server exits with the tests, also if the tests are killed."""

import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.foreign.process import ROOT
from tests.waiting import attempts

pytestmark = pytest.mark.foreign

STARTS = """
import sys
from pathlib import Path
from tests.foreign.providers import running_django, running_emulate, running_oidc
folder = Path(sys.argv[1])
with {server}(folder) as provider:
    print(provider["okta"].url if isinstance(provider, dict) else provider.url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("server", ["running_django", "running_oidc", "running_emulate"])
def test_server_exits_when_the_tests_are_killed(server: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS.format(server=server), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        url = tests.stdout.readline().strip()
        assert httpx2.get(url).status_code in {200, 404}
        tests.kill()
    for _ in attempts():
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", urlsplit(url).port)) != 0:
                break
