"""Loading the compiled catalog, and building the compiled file."""

from pathlib import Path

import pytest

from one_runtime.catalog.loader import Catalog, CatalogError, CompiledCatalog, load_catalog
from one_runtime.catalog.model import dump
from one_runtime.catalog.tools.build import HERE, compile_catalog, read_entries
from one_runtime.errors import NotFound
from tests.catalog.example import API_KEY, entry_of

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>'
HUBSPOT = (HERE / "integrations" / "hubspot.yaml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_catalog_has_the_entries_of_the_files_ordered_by_name() -> None:
    catalog = load_catalog()
    assert sorted(catalog.integrations, key=lambda entry: entry.slug) == read_entries(HERE / "integrations")
    names = [entry.name.casefold() for entry in catalog.integrations]
    assert names == sorted(names)


def test_the_example_of_the_contract_is_in_the_catalog() -> None:
    hubspot = load_catalog().get("hubspot")
    assert hubspot is not None
    assert hubspot.id == "4989eaeb-5947-5065-81c6-de3b60c10b7d"
    assert (hubspot.name, hubspot.description, hubspot.category) == ("HubSpot", "CRM and marketing automation.", "CRM")
    assert hubspot.auth_types == ("api_key", "oauth2")


def test_every_integration_has_a_logo_and_its_hash() -> None:
    catalog = load_catalog()
    for entry in catalog.integrations:
        assert catalog.logo(entry.slug).startswith(b"<svg ")
        assert len(catalog.logo_hash(entry.slug)) == 12
    with pytest.raises(NotFound):
        catalog.logo("nobody")
    assert catalog.get("nobody") is None


def test_an_entry_is_validated_at_its_first_use() -> None:
    outdated = {"slug": "outdated", "name": "Outdated"}
    catalog = Catalog.of_compiled(
        CompiledCatalog(revision="1", integrations=(outdated, dump(entry_of(API_KEY))), logos={})
    )
    assert catalog.get("example") == entry_of(API_KEY)
    assert catalog.get("example") is catalog.get("example")
    assert catalog.get("nobody") is None
    for use in (lambda: catalog.get("outdated"), lambda: catalog.integrations):
        with pytest.raises(CatalogError, match=r"Another version of One Runtime wrote catalog\.json"):
            use()


def test_an_extra_integration_changes_the_revision_and_nothing_else() -> None:
    catalog = load_catalog()
    extra = entry_of(API_KEY, name="00 first")
    more = catalog.with_extra(extra, SVG)
    assert more.integrations[0] == extra
    assert len(more.integrations) == len(catalog.integrations) + 1
    assert len({catalog.revision, more.revision, catalog.with_extra(extra, SVG.replace("8z", "7z")).revision}) == 3
    assert more.revision == catalog.with_extra(extra, SVG).revision
    assert catalog.get("example") is None
    assert more.logo("example").decode() == SVG
    assert more.with_extra(extra, SVG).integrations == more.integrations


def test_an_extra_integration_with_a_script_in_its_logo_is_refused() -> None:
    with pytest.raises(CatalogError):
        load_catalog().with_extra(entry_of(API_KEY), SVG.replace("<path", "<script/><path"))


def test_the_revision_changes_with_a_logo(tmp_path: Path) -> None:
    (tmp_path / "integrations").mkdir()
    (tmp_path / "logos").mkdir()
    (tmp_path / "integrations" / "hubspot.yaml").write_text(HUBSPOT, encoding="utf-8")
    compiled = []
    for svg in (SVG, SVG.replace("8z", "7z")):
        (tmp_path / "logos" / "hubspot.svg").write_text(svg, encoding="utf-8")
        compiled.append(compile_catalog(tmp_path))
    assert compiled[0].splitlines()[1] != compiled[1].splitlines()[1]


def test_the_file_name_is_the_slug_and_the_prefix_x_is_reserved_for_organizations(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(HUBSPOT, encoding="utf-8")
    with pytest.raises(CatalogError, match="must be the file's name"):
        read_entries(tmp_path)
    (tmp_path / "other.yaml").rename(tmp_path / "x-hubspot.yaml")
    (tmp_path / "x-hubspot.yaml").write_text(HUBSPOT.replace("slug: hubspot", "slug: x-hubspot"), encoding="utf-8")
    with pytest.raises(CatalogError, match="x- is reserved"):
        read_entries(tmp_path)
