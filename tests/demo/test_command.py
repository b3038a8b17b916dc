"""`one-runtime demo`: the start-up text, the stored data, and the end."""

import signal
import socket
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.fork_server import ForkedProcess, run
from tests.running_demo import Demo, command, running_demo, three_free_ports

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
    assert httpx2.get(demo.playground).status_code == 200


def test_each_server_answers_under_one_name_only(demo: Demo) -> None:
    for origin in (demo.url, demo.acme):
        assert httpx2.get(f"{origin}/", headers={"Host": "evil.example"}).status_code == 421
    sent_on = httpx2.get(f"{demo.playground}/", headers={"Host": "evil.example"})
    assert (sent_on.status_code, sent_on.headers["location"]) == (307, f"{demo.playground}/")


def test_second_start_continues_with_the_data_of_the_first(tmp_path: Path) -> None:
    port = three_free_ports()
    with running_demo(tmp_path, port) as first:
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(timeout=30) == 0
    with running_demo(tmp_path, port) as second:
        assert (second.api_key, second.acme_keys) == (first.api_key, first.acme_keys)
        assert listed(second.url, second.api_key, second.end_user_id).status_code == 200


def test_commands_of_the_start_up_text_work(tmp_path: Path) -> None:
    port = three_free_ports()
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
    port = three_free_ports()
    with socket.create_server(("127.0.0.1", port + 1)):
        process = run(command(tmp_path, port, "--json"))
    assert process.returncode != 0
    assert f"Port {port + 1}" in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""
