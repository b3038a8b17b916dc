"""`one-runtime demo`: the start-up text, the stored data, and the end."""

import signal
import socket
import subprocess
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest

from tests.fork_server import ForkedProcess, run
from tests.ports import free_port
from tests.running_demo import Demo, command, running_demo

pytestmark = pytest.mark.slow


def listed(url: str, api_key: str, end_user_id: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {api_key}"}
    return httpx2.get(f"{url}/v1/integrations", params={"end_user_id": end_user_id}, headers=headers)


def test_start_up_line_is_complete_for_machines(demo: Demo) -> None:
    answer = listed(demo.url, demo.api_key, demo.end_user_id)
    assert answer.status_code == 200
    (listed_acme,) = [entry for entry in answer.json()["integrations"] if entry["slug"] == "acme"]
    assert listed_acme["supported_auth_types"] == ["api_key", "oauth2"]
    account = httpx2.get(f"{demo.acme}/v1/me", headers={"Authorization": f"Bearer {demo.acme_key}"})
    assert account.json()["account"]["id"] == "acc_globex"
    assert httpx2.get(demo.product).status_code == 200


def test_each_server_answers_under_one_name_only(demo: Demo) -> None:
    for origin in (demo.url, demo.acme):
        assert httpx2.get(f"{origin}/", headers={"Host": "evil.example"}).status_code == 421
    sent_on = httpx2.get(f"{demo.product}/", headers={"Host": "evil.example"})
    assert (sent_on.status_code, sent_on.headers["location"]) == (307, f"{demo.product}/")


def test_each_server_limits_heads_and_bodies_as_serve_does(demo: Demo) -> None:
    for origin in (demo.url, demo.product, demo.acme, demo.dashboard):
        assert httpx2.get(origin, headers={"X-Filler": "x" * 300_000}).status_code == 431
    uploads = {
        f"{demo.product}/api/disconnect": "application/json",
        f"{demo.acme}/oauth/token": "application/x-www-form-urlencoded",
    }
    for url, media_type in uploads.items():
        answer = httpx2.post(url, content=b"x" * 2_000_000, headers={"Content-Type": media_type})
        assert (answer.status_code, answer.headers["content-type"]) == (413, "text/plain; charset=utf-8")


def test_pages_use_no_camera_and_no_frame(demo: Demo) -> None:
    for page in (demo.product, demo.acme, f"{demo.acme}/switches"):
        headers = httpx2.get(page).headers
        assert headers["permissions-policy"].startswith("camera=()")
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_second_start_continues_with_the_data_of_the_first(tmp_path: Path) -> None:
    port = free_port(4)
    with running_demo(tmp_path, port) as first:
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(timeout=30) == 0
    with running_demo(tmp_path, port) as second:
        assert (second.api_key, second.acme_keys) == (first.api_key, first.acme_keys)
        assert listed(second.url, second.api_key, second.end_user_id).status_code == 200


def test_operator_can_allow_an_api_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as api:
        target = f"127.0.0.1:{api.server_port}"
        Thread(target=api.serve_forever, daemon=True).start()
        codes = []
        for allowed in ("", target):
            monkeypatch.setenv("ONE_RUNTIME_EGRESS_ALLOW", allowed)
            with running_demo(tmp_path, free_port(4)) as demo:
                codes.append(call(demo, tmp_path, f"http://{target}"))
        api.shutdown()
    assert codes == [422, 200]


def test_demo_ignores_errors_in_settings_that_it_does_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_RUNTIME_PUBLIC_URL", "connect.example.com")
    with running_demo(tmp_path, free_port(4)) as demo:
        assert listed(demo.url, demo.api_key, demo.end_user_id).status_code == 200


def call(demo: Demo, folder: Path, api: str) -> int:
    """Register a custom integration for the API, connect it, and return the status of a proxy call."""
    entry = {
        "name": "Inside",
        "description": "An API on this machine.",
        "category": "Data",
        "website": api,
        "docs": api,
        "auth": [{"type": "none", "base_url": api, "check_missing": "None.", "verified": {"how": "unverified"}}],
    }
    admin = {"Authorization": f"Bearer {(folder / 'admin-api-key').read_text().strip()}"}
    url = f"{demo.url}/v1/custom-integrations/x-inside"
    assert httpx2.put(url, json=entry, headers=admin).status_code in {200, 201}
    headers = {"Authorization": f"Bearer {demo.api_key}", "One-Runtime-End-User": demo.end_user_id}
    body = {"integration_slug": "x-inside", "end_user_id": demo.end_user_id, "auth_type": "none", "credentials": {}}
    assert httpx2.post(f"{demo.url}/v1/connections", json=body, headers=headers).status_code in {200, 201}
    return httpx2.get(f"{demo.url}/v1/proxy/x-inside/", headers=headers).status_code


def test_commands_of_the_start_up_text_work(tmp_path: Path) -> None:
    port = free_port(4)
    for first_start in (True, False):
        with ForkedProcess(command(tmp_path, port), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            text = ""
            while "Ctrl+C" not in text:
                line = process.stdout.readline()
                assert line, text
                text += line
            # The shell reads the lines as pasted; in curl's place stands what prints its arguments.
            pasted = "\n".join(line for line in text.splitlines() if line.startswith(("export ", "curl ")))
            script = f"curl() {{ printf '%s\\n' \"$@\"; }}\n{pasted}"
            shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
            option, header, url = shell.stdout.splitlines()
            assert option == "-H"
            name, value = header.split(": ", 1)
            answer = httpx2.get(url, headers={name: value})
            assert answer.status_code == 200
            assert ("oru_" in text) == first_start, "the API key is shown at the first start only"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0


def test_taken_port_is_reported_in_a_sentence(tmp_path: Path) -> None:
    port = free_port(4)
    with socket.create_server(("127.0.0.1", port + 1)):
        process = run(command(tmp_path, port, "--json"))
    assert process.returncode != 0
    assert f"Port {port + 1}" in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""
