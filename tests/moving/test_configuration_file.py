"""Read a configuration file: sections, and references instead of secrets."""

from pathlib import Path

import pytest

from one_runtime.errors import InvalidInput
from one_runtime.moving.configuration_file import parse, to_json, to_yaml


def test_a_reference_is_replaced_by_its_variable_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("from-a-file\n")
    text = """
version: 1
oauth_clients:
  HubSpot: {client_id: {env: HUBSPOT_ID}, client_secret: {file: secret.txt}, fields: {token: {env: HUBSPOT_ID}}}
webhook_endpoints:
  - {url: {env: HOOK}, event_types: ["*"]}
"""
    parsed = parse(text, {"HUBSPOT_ID": "abc", "HOOK": "https://app.example.com/hook"}, tmp_path)
    client = {"client_id": "abc", "client_secret": "from-a-file", "fields": {"token": "abc"}}
    assert parsed.oauth_clients == {"hubspot": client}
    assert parsed.webhook_endpoints == [{"url": "https://app.example.com/hook", "event_types": ["*"]}]
    assert parsed.organization is parsed.custom_integrations is None


def test_the_words_env_and_file_have_no_meaning_in_a_definition(tmp_path: Path) -> None:
    parsed = parse("version: 1\ncustom_integrations: {x-a: {headers: {env: test}}}\n", {}, tmp_path)
    assert parsed.custom_integrations == {"x-a": {"headers": {"env": "test"}}}


@pytest.mark.parametrize(
    "text, message",
    [
        ("version: 2\n", "must begin with `version: 1`"),
        ("- 1\n", "must begin with `version: 1`"),
        ("version: 1\norganisation: {}\n", "Unknown sections: organisation. A file can have: organization, "),
        ("version: 1\noauth_clients: [a]\n", "oauth_clients must have keys and values."),
        ("version: 1\nwebhook_endpoints: {url: a}\n", "webhook_endpoints must be a list."),
        ("version: 1\nwebhook_endpoints: [a]\n", "webhook_endpoints[0] must have keys and values."),
        ("version: 1\nversion: 1\n", "line 2: version must appear only once."),
        (
            "version: 1\norganization: {display_name: {env: MISSING}, logo_url: {file: missing.txt}}\n",
            (
                "organization.display_name is a reference to the variable MISSING, which is not set.\n"
                "organization.logo_url is a reference to the file missing.txt, which cannot be read: "
                "No such file or directory."
            ),
        ),
    ],
)
def test_an_error_says_what_to_change(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse(text, {}, tmp_path)
    assert message in error.value.detail


def test_a_written_file_is_read_as_the_same_configuration(tmp_path: Path) -> None:
    parsed = parse('version: 1\norganization: {display_name: "1.0", return_urls: []}\n', {}, tmp_path)
    assert parse(to_yaml(parsed), {}, tmp_path) == parsed
    assert parse(to_json(parsed), {}, tmp_path) == parsed
