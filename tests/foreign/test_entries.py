"""The entries of the foreign servers are valid catalog entries, beside the built-in ones."""

from pathlib import Path

import pytest

from one_runtime.catalog.loader import load_catalog
from tests.foreign.providers import ENTRIES, VENDORS, entry_for

KEYED = {"localstripe", "ntfy"}
URL = "http://127.0.0.1:12345"


@pytest.mark.parametrize("path", sorted(ENTRIES.iterdir()), ids=lambda path: path.stem)
def test_each_entry_is_valid_and_identifies_the_account(path: Path) -> None:
    entry = entry_for(path.stem, URL)
    assert entry.slug == path.stem
    assert (entry.oauth2 is None) == (path.stem in KEYED)
    for auth in entry.auth:
        assert auth.check is not None
        assert auth.identity is not None or path.stem == "localstripe", "it does not tell whose key it is"
        assert {url.authority for url in auth.urls()} == {"127.0.0.1:12345"}


def test_each_servers_entry_has_a_slug_that_no_built_in_entry_has() -> None:
    slugs = {path.stem for path in ENTRIES.iterdir()}
    assert slugs == {"django-provider", "oidc-provider", *KEYED, *(f"emulated-{vendor}" for vendor in VENDORS)}
    assert not slugs & {entry.slug for entry in load_catalog().integrations}
