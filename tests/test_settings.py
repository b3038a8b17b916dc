"""`settings.py`: every setting is checked, files can contain secrets, and an unknown variable stops the start."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from one_runtime.errors import ConfigurationError
from one_runtime.settings import FROM_FILES, PREFIX, Settings, load_settings, parse_host_port
from tests.in_one_test import in_one_test
from tests.validators_words import VALIDATORS_WORDS


def load(**variables: str) -> Settings:
    return load_settings({PREFIX + name: value for name, value in variables.items()})


def refusal(**variables: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(**variables)
    return refused.value.detail


def test_default_settings_listen_on_loopback_only() -> None:
    settings = load()
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.listen == "127.0.0.1:8000"
    assert settings.database_url.get_secret_value() == "sqlite:///one-runtime.db"
    assert settings.encryption_keys.get_secret_value() == "", "there is no default key"
    assert (settings.workers, settings.trusted_proxies, settings.egress_allow) == (1, (), frozenset())


@pytest.mark.parametrize(
    "listen, public_url",
    [
        ("127.0.0.1:18000", "http://127.0.0.1:18000"),
        ("localhost:9000", "http://localhost:9000"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("0.0.0.0:9000", "http://127.0.0.1:8000"),
    ],
)
def test_public_url_of_a_loopback_server_is_its_address(listen: str, public_url: str) -> None:
    assert load(LISTEN=listen).public_url == public_url
    assert load(LISTEN=listen, PUBLIC_URL="https://connect.example.com").public_url == "https://connect.example.com"


def test_every_setting_has_a_line_of_help() -> None:
    assert all(field.description and field.description.endswith(".") for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    "text, origin",
    [
        ("https://Connect.Example.com", "https://connect.example.com"),
        ("https://connect.example.com/", "https://connect.example.com"),
        ("https://connect.example.com:8443", "https://connect.example.com:8443"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://app.localhost", "http://app.localhost"),
        ("http://127.1.2.3:80", "http://127.1.2.3"),
        ("https://connect.example.com:443", "https://connect.example.com"),
        ("https://connect.example.com:", "https://connect.example.com"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_public_url_is_an_origin(text: str, origin: str) -> None:
    settings = load(PUBLIC_URL=text)
    assert settings.public_url == origin
    assert settings.secure == origin.startswith("https")


@pytest.mark.parametrize(
    "text",
    [
        "http://connect.example.com", "http://10.0.0.1", "http://localhost.example.com", "connect.example.com",
        "ftp://example.com", "https://", "https://example.com/path", "https://example.com?x", "https://example.com#x",
        "https://user@example.com", "https://user:password@example.com", "https://[::1", "https://example.com:99999",
    ],
)  # fmt: skip
def test_a_public_url_that_is_not_an_origin_is_refused(text: str) -> None:
    assert refusal(PUBLIC_URL=text).startswith("ONE_RUNTIME_PUBLIC_URL must ")


def test_lists_are_separated_by_commas_or_spaces() -> None:
    settings = load(TRUSTED_PROXIES="10.0.0.0/8, 192.168.0.1 ::1/128", EGRESS_ALLOW="Acme.internal:8443,[::1]:80")
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("192.168.0.1/32"), ip_network("::1/128"))
    assert settings.egress_allow == {("acme.internal", 8443), ("::1", 80)}


@pytest.mark.parametrize(
    "name, value",
    [
        ("LISTEN", "8000"),
        ("LISTEN", "127.0.0.1:"),
        ("LISTEN", ":8000"),
        ("LISTEN", "127.0.0.1:0"),
        ("LISTEN", "127.0.0.1:65536"),
        ("LISTEN", "127.0.0.1:http"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "*"),
        ("EGRESS_ALLOW", "acme.internal"),
        ("WORKERS", "0"),
        ("WORKERS", "many"),
        ("DATABASE_POOL_SIZE", "0"),
        ("RATE_LIMIT", "-1"),
        ("EVENT_RETENTION_DAYS", "0"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_an_invalid_value_is_reported_with_its_variable(name: str, value: str) -> None:
    sentence = refusal(**{name: value})
    assert re.match(rf"ONE_RUNTIME_{name}(?:: '| must )", sentence), sentence
    assert not VALIDATORS_WORDS.search(sentence), sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@in_one_test(Settings.model_fields, str)
def test_no_setting_is_refused_in_the_words_of_a_validator(name: str) -> None:
    details = list[str]()
    for value in ("wrong value", "-1", "1.5", "http://[", "\x00", "a" * 10_000, "127.0.0.1:99999", "é"):
        try:
            load(**{name.upper(): value})
        except ConfigurationError as error:
            details.append(error.detail)
    for detail in details:
        assert detail.startswith(f"ONE_RUNTIME_{name.upper()}"), detail
        assert not VALIDATORS_WORDS.search(detail), detail
        assert detail.endswith("."), detail


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load(WORKERS="", PUBLIC_URL="", LOG_LEVEL="", DATABASE_URL_FILE="") == load()


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("  from-the-file\n\n")
    assert load(ENCRYPTION_KEYS_FILE=str(path)).encryption_keys.get_secret_value() == "from-the-file"
    path.write_text("postgresql://u:p@host/name\n")
    assert load(DATABASE_URL_FILE=str(path)).database_url.get_secret_value() == "postgresql://u:p@host/name"


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    assert refusal(ENCRYPTION_KEYS_FILE=str(tmp_path / "missing")) == (
        "ONE_RUNTIME_ENCRYPTION_KEYS_FILE names a file that cannot be read (No such file or directory). It must be the "
        "path of a file with the value. Only ONE_RUNTIME_ENCRYPTION_KEYS can have the value itself."
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "cannot be read (it is not UTF-8)" in refusal(ENCRYPTION_KEYS_FILE=str(tmp_path / "binary"))
    assert "cannot be read (Is a directory)" in refusal(ENCRYPTION_KEYS_FILE=str(tmp_path))


@pytest.mark.promise("P11")
@pytest.mark.parametrize("name", sorted(FROM_FILES))
def test_secret_in_the_place_of_its_file_is_not_in_the_refusal(name: str) -> None:
    secrets = ("abc+defGHI0123456789=", "/bcdefGHI0123456789=", "postgresql://user:abcGHI01@host/name", "a" * 5_000)
    for secret in secrets:
        detail = refusal(**{f"{name.upper()}_FILE": secret})
        assert secret not in detail
        assert "GHI01" not in detail
        assert len(detail) < 400


def test_only_secrets_come_from_files(tmp_path: Path) -> None:
    assert "ONE_RUNTIME_PUBLIC_URL_FILE is not a setting" in refusal(PUBLIC_URL_FILE=str(tmp_path))


def test_a_typo_stops_the_start_and_suggests_the_setting() -> None:
    assert refusal(PUBLIC_ULR="https://example.com") == (
        "ONE_RUNTIME_PUBLIC_ULR is not a setting of One Runtime. Did you mean ONE_RUNTIME_PUBLIC_URL?"
    )
    assert "docs/settings.md" in refusal(ZZZ="1")


@pytest.mark.parametrize(
    "name",
    [
        "PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "PORT_8000_TCP_PORT", "PORT_8000_TCP_PROTO", "SERVICE_HOST",
        "SERVICE_PORT", "SERVICE_PORT_HTTP", "WEB_SERVICE_HOST", "WEB_PORT_8000_TCP",
    ],
)  # fmt: skip
def test_names_that_orchestrators_inject_are_ignored(name: str) -> None:
    assert load(**{name: "tcp://10.0.0.1:8000"}) == load()


def test_variables_of_other_programs_are_ignored() -> None:
    assert (
        load_settings({"PATH": "/bin", "RUNTIME_X": "1", "XONE_RUNTIME_Y": "1", "one_runtime_workers": "9"}) == load()
    )


def test_workers_of_the_command_line_override_the_variable() -> None:
    assert load_settings({PREFIX + "WORKERS": "2"}, workers=4).workers == 4
    assert load_settings({PREFIX + "WORKERS": "2"}).workers == 2
    with pytest.raises(ConfigurationError, match="ONE_RUNTIME_WORKERS"):
        load_settings({}, workers=0)


@pytest.mark.promise("P11")
def test_secrets_are_in_no_repr_and_in_no_error_message() -> None:
    settings = load(ENCRYPTION_KEYS="canary-key", DATABASE_URL="postgresql://u:canary-password@host/name")
    assert "canary" not in repr(settings) + str(settings) + settings.model_dump_json()
    with pytest.raises(ConfigurationError) as refused:
        load(ENCRYPTION_KEYS="canary-key", WORKERS="canary-workers")
    assert "canary-key" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "text, pair", [("host:1", ("host", 1)), (" HOST:65535 ", ("host", 65535)), ("[::1]:80", ("::1", 80))]
)
def test_a_host_and_a_port_are_a_pair(text: str, pair: tuple[str, int]) -> None:
    assert parse_host_port(text) == pair


def test_metrics_are_never_served_on_the_public_address() -> None:
    listen = {"ONE_RUNTIME_LISTEN": "127.0.0.1:8000"}
    assert load_settings(listen).metrics_listen == ""
    assert load_settings(listen | {"ONE_RUNTIME_METRICS_LISTEN": "127.0.0.1:9464"}).metrics_listen == "127.0.0.1:9464"
    for wrong in ("127.0.0.1:8000", "9464"):
        with pytest.raises(ConfigurationError, match=r"^ONE_RUNTIME_METRICS_LISTEN(: '9464'| must differ)"):
            load_settings(listen | {"ONE_RUNTIME_METRICS_LISTEN": wrong})


@pytest.mark.parametrize(
    "variables, problem",
    [
        ({"DASHBOARD_URL": "https://team.example.com"}, "also needs ONE_RUNTIME_DASHBOARD_LISTEN"),
        ({"DASHBOARD_LISTEN": "0.0.0.0:8003"}, "also needs ONE_RUNTIME_DASHBOARD_URL"),
        ({"DASHBOARD_LISTEN": "127.0.0.1:8000"}, "must differ from ONE_RUNTIME_LISTEN"),
        ({"DASHBOARD_LISTEN": "127.0.0.1:8003", "DASHBOARD_URL": "http://127.0.0.1:8000"}, "must have another host"),
        (
            {
                "PUBLIC_URL": "https://connect.example.com",
                "DASHBOARD_URL": "https://connect.example.com:8443",
                "DASHBOARD_LISTEN": "0.0.0.0:8003",
            },
            "must have another host",
        ),
        ({"DASHBOARD_LISTEN": "127.0.0.1:8003", "DASHBOARD_URL": "http://team.example.com"}, "must be https"),
    ],
)
def test_dashboard_needs_an_origin_of_its_own(variables: dict[str, str], problem: str) -> None:
    assert problem in refusal(**variables)


def test_there_is_no_dashboard_by_default() -> None:
    assert (load().dashboard_url, load().dashboard_listen) == ("", "")
    assert load(DASHBOARD_LISTEN="127.0.0.1:8003").dashboard_url == "http://127.0.0.1:8003"


OIDC = {
    "DASHBOARD_LISTEN": "127.0.0.1:8003",
    "OIDC_ISSUER": "https://login.example.com",
    "OIDC_CLIENT_ID": "one-runtime",
    "OIDC_CLIENT_SECRET": "secret",
}


def test_oidc_settings_are_parsed() -> None:
    settings = load(
        **OIDC, OIDC_ALLOWED_DOMAINS="Example.com, @acme.example", OIDC_ROLES="a b=c=admin, staff = support,"
    )
    assert settings.oidc_allowed_domains == {"example.com", "acme.example"}
    assert settings.oidc_roles == (("a b=c", "admin"), ("staff", "support"))
    assert settings.oidc_groups_claim == "groups"
    assert "secret'" not in repr(settings)
    for issuer in ("https://login.example.com/", "https://login.example.com/v2.0", "http://127.0.0.1:9000"):
        assert load(**{**OIDC, "OIDC_ISSUER": issuer}).oidc_issuer == issuer
    whole = "https://login.example.com/.well-known/openid-configuration"
    assert load(**{**OIDC, "OIDC_ISSUER": whole}).oidc_issuer == "https://login.example.com"


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"OIDC_ISSUER": ""}, "OIDC_CLIENT_ID also needs ONE_RUNTIME_OIDC_ISSUER"),
        ({"OIDC_CLIENT_ID": ""}, "OIDC_ISSUER also needs ONE_RUNTIME_OIDC_CLIENT_ID"),
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_ISSUER also needs ONE_RUNTIME_OIDC_CLIENT_SECRET"),
        ({"DASHBOARD_LISTEN": ""}, "OIDC_ISSUER also needs ONE_RUNTIME_DASHBOARD_URL"),
        ({"OIDC_ISSUER": "http://login.example.com"}, "OIDC_ISSUER must be https"),
        ({"OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER must be the URL of the provider"),
        ({"OIDC_ISSUER": "https://login.example.com?a=b"}, "OIDC_ISSUER must be the URL of the provider"),
        ({"OIDC_ISSUER": "https://a@login.example.com"}, "OIDC_ISSUER must be the URL of the provider"),
        ({"OIDC_ALLOWED_DOMAINS": "example.com,a@b.example"}, "OIDC_ALLOWED_DOMAINS has 'a@b.example'"),
        ({"OIDC_ALLOWED_DOMAINS": "*.example.com"}, "OIDC_ALLOWED_DOMAINS has '\\*.example.com'"),
        ({"OIDC_ROLES": "staff"}, "OIDC_ROLES: 'staff' must be group=role"),
        ({"OIDC_ROLES": "staff=root"}, "The roles are support, developer, admin, owner"),
        ({"OIDC_ORGANIZATION": "acme"}, "OIDC_ORGANIZATION must be the id of an organization"),
    ],
)
def test_wrong_or_incomplete_oidc_settings_stop_the_start(changes: dict[str, str], problem: str) -> None:
    assert re.search(problem, refusal(**{**OIDC, **changes}))


@pytest.mark.parametrize("name", ["OIDC_ALLOWED_DOMAINS", "OIDC_ROLES", "OIDC_ORGANIZATION"])
def test_rules_for_members_need_a_provider(name: str) -> None:
    value = {"OIDC_ALLOWED_DOMAINS": "example.com", "OIDC_ROLES": "staff=support"}.get(
        name, "01a21077-a4d8-7b26-8e4f-3c5d7f9a2b46"
    )
    assert f"{name} also needs ONE_RUNTIME_OIDC_ISSUER and" in refusal(**{name: value})
