"""The compose file: every reference resolves, and only the necessary ports are open."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest
import yaml

from one_runtime.context import Timing
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.integrations.entry_process import MAX_MEMORY
from one_runtime.serving.server import GRACE
from one_runtime.settings import PREFIX, Settings, load_settings
from tests.deploy.dockerfile import stages
from tests.deploy.proxies import DEPLOY, longest_drain
from tests.documentation import page

OURS: Final = ("migrate", "server")
SECRETS: Final = {"database-password", "database-url", "encryption-keys"}
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return read


def filled(value: str, **variables: str) -> str:
    """Return a value with its variables filled in, as the engine does."""
    return _VARIABLE.sub(lambda match: variables.get(match[1]) or match[2], str(value))


def test_every_network_volume_and_secret_is_defined_and_used(compose: dict[str, Any]) -> None:
    services: dict[str, Any] = compose["services"]
    used = {
        kind: {name.partition(":")[0] for service in services.values() for name in service.get(kind, ())}
        for kind in ("networks", "volumes", "secrets")
    }
    assert used == {kind: set(compose[kind]) for kind in used}
    assert set(compose["secrets"]) == SECRETS
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        mounted = {value for value in service["environment"].values() if str(value).startswith("/run/secrets/")}
        assert mounted == {f"/run/secrets/{name}" for name in service["secrets"]}


def test_logs_of_every_container_are_limited(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        options = service["logging"]["options"]
        assert re.fullmatch(r"[1-9][0-9]?m", options["max-size"])
        assert 2 <= int(options["max-file"]) <= 10


def test_documented_commands_create_the_secret_files(compose: dict[str, Any], tmp_path: Path) -> None:
    files = {name: secret["file"] for name, secret in compose["secrets"].items()}
    assert files == {name: f"./secrets/{name}" for name in SECRETS}
    make, give = page("docs/deploying.md").code("bash")
    subprocess.run(["bash", "-euo", "pipefail", "-c", make], cwd=tmp_path, check=True)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "secrets").iterdir()} == {0}, "from the first moment"
    created = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert created.keys() == SECRETS
    assert len(Vault(parse_keys(created["encryption-keys"])).key_ids) == 1
    password = created["database-password"].strip()
    assert urlsplit(created["database-url"].strip()).password == password
    assert quote(password, safe="") == password, "it needs no encoding in the URL"
    user = stages((DEPLOY / "Dockerfile").read_text(encoding="utf-8"))[-1].words("USER")[0]
    assert f"chown {user} secrets/encryption-keys secrets/database-url\n" in give


def test_secrets_and_settings_beside_the_compose_file_are_ignored_by_git(compose: dict[str, Any]) -> None:
    ignored = (DEPLOY / ".gitignore").read_text().splitlines()
    assert {str(Path("/") / Path(secret["file"]).parent) + "/" for secret in compose["secrets"].values()} <= set(
        ignored
    )
    assert "/.env" in ignored


def test_image_is_built_from_existing_files(compose: dict[str, Any]) -> None:
    build = compose["services"]["server"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert (context / build["dockerfile"]).is_file()
    assert (context / ".dockerignore").is_file()


def test_image_of_the_database_has_an_exact_version(compose: dict[str, Any]) -> None:
    image = compose["services"]["database"]["image"]
    assert re.fullmatch(r"postgres:\d+\.\d+-[a-z]+(@sha256:[0-9a-f]{64})?", image), image


def test_every_variable_of_the_env_file_reaches_our_containers(compose: dict[str, Any]) -> None:
    for name in OURS:
        assert compose["services"][name]["env_file"] == [{"path": ".env", "required": False}]


def test_processes_and_memory_are_limited(compose: dict[str, Any]) -> None:
    """The limit of memory leaves room for the parsers of custom integrations."""
    for service in compose["services"].values():
        assert int(service["pids_limit"]) >= 1024
    workers = int(filled(compose["services"]["server"]["environment"]["ONE_RUNTIME_WORKERS"]))
    parsers = workers * 2 * MAX_MEMORY  # each server process parses two long bodies at a time
    for name in OURS:
        limit = filled(compose["services"][name]["mem_limit"])
        assert int(limit.removesuffix("g")) * 1024**3 > parsers + workers * 200 * 1024**2


def test_documented_overrides_publish_metrics_and_dashboard_on_loopback_only() -> None:
    metrics, dashboard = (yaml.safe_load(text)["services"]["server"] for text in page("docs/deploying.md").code("yaml"))
    for server, setting in ((metrics, "metrics_listen"), (dashboard, "dashboard_listen")):
        port = str(getattr(load_settings(server["environment"]), setting)).rpartition(":")[2]
        assert server["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_no_container_gets_an_anonymous_volume(compose: dict[str, Any]) -> None:
    (volume,) = stages((DEPLOY / "Dockerfile").read_text(encoding="utf-8"))[-1].words("VOLUME")
    for name in OURS:
        assert volume in compose["services"][name]["tmpfs"]


def test_variables_are_compatible_settings(compose: dict[str, Any], tmp_path: Path) -> None:
    for name in OURS:
        variables = {"ONE_RUNTIME_PUBLIC_URL": "https://connect.example.com"}
        environ = {key: filled(value, **variables) for key, value in compose["services"][name]["environment"].items()}
        assert all(key.startswith(PREFIX) for key in environ)
        contents = {"DATABASE_URL": "postgresql://one_runtime:x@database/one_runtime", "ENCRYPTION_KEYS": new_key()}
        for secret, text in contents.items():
            (tmp_path / secret).write_text(text)
            environ[f"{PREFIX}{secret}_FILE"] = str(tmp_path / secret)
        settings = load_settings(environ)
        assert settings.workers == 2
        assert settings.public_url == "https://connect.example.com"


def test_gateway_of_the_network_is_the_trusted_proxy(compose: dict[str, Any]) -> None:
    environ = {"ONE_RUNTIME_TRUSTED_PROXIES": filled(compose["services"]["server"]["environment"][
        "ONE_RUNTIME_TRUSTED_PROXIES"])}  # fmt: skip
    (network,) = load_settings(environ).trusted_proxies
    (config,) = compose["networks"]["outside"]["ipam"]["config"]
    assert str(network) == f"{config['gateway']}/32"


def test_server_starts_after_the_migration(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["server"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    for name in OURS:
        assert services[name]["depends_on"]["database"]["condition"] == "service_healthy"
    assert services["migrate"]["command"] == ["migrate"]
    assert services["migrate"]["restart"] == "no"
    assert services["server"]["command"] == ["serve"]


def test_server_port_is_local_and_database_port_is_not_published(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"server": ["127.0.0.1:8000:8000"]}
    assert compose["services"]["database"]["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True


def test_containers_run_without_privileges_on_a_read_only_file_system(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["init"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "user" not in service, "the image's own user"
    assert stages((DEPLOY / "Dockerfile").read_text(encoding="utf-8"))[-1].words("USER") == ["10001"]


def test_stop_timeout_of_the_container_covers_running_requests(compose: dict[str, Any]) -> None:
    assert (
        int(compose["services"]["server"]["stop_grace_period"].removesuffix("s"))
        > longest_drain() + GRACE + Timing().request
    )


def test_pools_of_the_workers_fit_the_default_limit_of_postgresql(compose: dict[str, Any]) -> None:
    settings = Settings.model_fields
    workers = int(filled(compose["services"]["server"]["environment"]["ONE_RUNTIME_WORKERS"]))
    assert workers * settings["database_pool_size"].default < 97  # 100 connections, 3 of them reserved
