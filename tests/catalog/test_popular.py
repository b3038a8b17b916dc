"""The list of popular integrations."""

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.popular import POPULARITY


def test_every_popular_slug_is_in_the_catalog_and_has_its_own_position() -> None:
    assert [slug for slug in POPULARITY if load_catalog().get(slug) is None] == ["acme"]  # the demo adds Acme CRM
    assert list(POPULARITY.values()) == list(range(1, len(POPULARITY) + 1))
    assert len(POPULARITY) >= 36
