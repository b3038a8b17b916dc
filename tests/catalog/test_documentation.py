"""The page on adding an integration has a valid entry and documents every key."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from one_runtime.catalog import auth, lookup, model, oauth2, parts, received_values
from one_runtime.catalog.auth_types import AUTH_TYPES
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.custom import read_custom
from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.lint import complaints
from one_runtime.catalog.request import build_check, clean_values
from one_runtime.catalog.tools.sheet import counts, table
from tests.catalog.entries import ENTRIES
from tests.in_one_test import in_one_test

OWN = (Path(__file__).parents[2] / "docs" / "custom-integrations.md").read_text(encoding="utf-8")
PAGE = (Path(__file__).parents[2] / "docs" / "adding-an-integration.md").read_text(encoding="utf-8")
SHAPES: list[type[BaseModel]] = [
    model.Integration,
    *AUTH_TYPES.values(),
    oauth2.ClientRegistration,
    oauth2.AuthorizationEndpointSpec,
    oauth2.ScopeList,
    oauth2.TokenEndpointSpec,
    oauth2.TokenResponsePaths,
    oauth2.LongLivedTokenExchange,
    received_values.ReceivedValue,
    lookup.LookupRequest,
    lookup.AccountChoices,
    lookup.LookupPages,
    oauth2.RevocationEndpointSpec,
    oauth2.TokenLifetimes,
    parts.Param,
    parts.CredentialField,
    parts.DerivedValue,
    parts.CredentialPlacement,
    parts.RequestTemplate,
    parts.ExpectedResponse,
    parts.RefusalResponse,
    parts.JsonCondition,
    parts.AccountIdentity,
    parts.EntryVerification,
    parts.ParamOption,
]
KEYS = sorted({info.alias or name for shape in SHAPES for name, info in shape.model_fields.items()})

FOLDER = Path(__file__).parents[2] / "docs" / "integrations"

pytestmark = pytest.mark.docs


def test_the_categories_and_the_texts_of_quirks_are_documented() -> None:
    api = (FOLDER.parent / "api.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"These are all categories: (.*)\.\n", api)
    assert tuple(listed.split(", ")) == model.CATEGORIES
    assert f"Only the exact text `{auth.SELF_HOSTED}`" in PAGE


def test_the_table_of_integrations_is_up_to_date() -> None:
    written = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert written == table(ENTRIES), "run: python -m one_runtime.catalog.tools.sheet"
    assert "](" not in written
    assert [path.name for path in FOLDER.iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_the_documented_number_of_integrations_is_correct(name: str) -> None:
    text = (FOLDER.parents[1] / name).read_text(encoding="utf-8")
    assert re.findall(r"\[(\d+) integrations\]", text) == [str(len(ENTRIES))]


def test_the_readme_says_that_no_real_account_was_connected_until_an_entry_says_so() -> None:
    readme = (FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert ("No integration has been tried with a real account yet." in readme) == (counts(ENTRIES)["live"] == 0)


def test_the_documented_numbers_of_catalog_gaps_are_correct() -> None:
    gaps = (FOLDER.parent / "catalog-gaps.md").read_text(encoding="utf-8")
    missing, _, rest = gaps.partition("## Ways to connect that an entry leaves out")
    assert len(re.findall(r"^\| (?!product|---)", missing, re.MULTILINE)) == int(
        re.findall(r"without an entry \((\d+)\)", missing)[0]
    )
    assert len(re.findall(r"^\| .+ \(`[a-z0-9-]+`\) \|", rest.partition("## Known doubts")[0], re.MULTILINE)) == int(
        re.findall(r"\A \((\d+)\)", rest)[0]
    )


@in_one_test(KEYS, name=str)
def test_every_key_of_an_entry_is_explained(key: str) -> None:
    assert f"`{key}`" in PAGE


def test_every_auth_type_is_explained() -> None:
    assert [name for name in AUTH_TYPES if f"`{name}`" not in PAGE] == []


def test_the_example_of_the_page_is_a_valid_entry(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "example-desk.yaml"
    path.write_text(example.group(1), encoding="utf-8")
    entry = load_yaml(path)
    assert list(complaints(entry)) == []
    key = entry.auth[0]
    values = clean_values(key, {"subdomain": "Acme"}, {"api_key": "exd_" + "a" * 32})
    request = build_check(key, values)
    assert request.url == "https://acme.example.com/us/v2/me?fields=id%2Cname"
    assert dict(request.headers) == {
        "Accept": "application/json",
        "Example-Version": "2026-10-01",
        "Authorization": "Bearer exd_" + "a" * 32,
    }


def test_the_oauth2_block_of_the_page_fits_into_the_example(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    block = re.search(r"```text\n(  - type: oauth2\n.*?)```", PAGE, re.DOTALL)
    assert example is not None
    assert block is not None
    path = tmp_path / "example-desk.yaml"
    path.write_text(example.group(1) + block.group(1), encoding="utf-8")
    entry = load_yaml(path)
    assert entry.auth_types == ("api_key", "oauth2")
    oauth2_block = entry.auth[1]
    assert isinstance(oauth2_block, OAuth2Auth)
    assert oauth2_block.read_received("token_response", {"api_url": "https://acme.example.com"}) == {
        "subdomain": "acme"
    }


def test_the_entry_and_the_openapi_document_of_a_custom_integration_are_equivalent() -> None:
    entry, document = (read_custom(text, "yaml") for text in re.findall(r"```yaml\n(.*?)```", OWN, re.DOTALL))
    assert (entry.warnings, document.warnings) == ((), ())
    assert entry.integration.slug == "x-acme-billing"
    assert document.integration.slug == "x-acme-billing"
    (written,), (imported,) = entry.integration.auth, document.integration.auth
    for name in ("type", "base_url", "send", "check", "identity"):
        assert getattr(imported, name) == getattr(written, name), name
    for name in ("name", "description", "category", "docs"):
        assert getattr(document.integration, name) == getattr(entry.integration, name), name


def test_the_oauth2_entry_of_a_custom_integration_is_valid() -> None:
    (text,) = re.findall(r"```text\n(slug: x-.*?)```", OWN, re.DOTALL)
    entry = read_custom(text, "yaml")
    (desk,) = entry.integration.auth
    assert entry.warnings == ()
    assert isinstance(desk, OAuth2Auth)
    assert desk.pkce == "supported"
    assert f"/v1/integrations/{entry.integration.slug}/oauth-client" in OWN
    assert f"/connect/callback/{entry.integration.slug}`" in OWN
