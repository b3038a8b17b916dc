"""`one-runtime …` with a generated catalog: `python -m tests.journeys.many <number of integrations> …`."""

import sys
from itertools import islice, product
from typing import Final

from one_runtime import cli
from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.model import CATEGORIES
from one_runtime.integrations.availability import Availability
from tests.catalogs import replace_catalog

_FIRST: Final = (
    "Amber", "Bright", "Cedar", "Delta", "Ember", "Fern", "Gale", "Harbor", "Indigo", "Juniper", "Krill", "Lumen",
    "Maple", "Nimbus", "Opal", "Pine", "Quartz", "River", "Slate", "Tundra", "Umber", "Vale", "Willow", "Xenon", "Zéro",
)  # fmt: skip
_SECOND: Final = (
    "Base", "Books", "Cast", "Chat", "Desk", "Drive", "Flow", "Forge", "Grid", "Hire", "Hub", "Ledger", "Lane", "Mail",
    "Market", "Metrics", "Note", "Pay", "Pulse", "Sign", "Stack", "Suite", "Track", "Vault", "Works",
)  # fmt: skip


def catalog_of(count: int) -> Catalog:
    """Return a catalog with `count` integrations. They are copies of built-in integrations with other names."""
    built_in = load_catalog()
    models = [integration for integration in built_in.integrations if Availability().working(integration)]
    entries, logos = [], {}
    for number, (first, second) in enumerate(islice(product(_FIRST, _SECOND), count)):
        model = models[number % len(models)]
        slug = f"made-up-{number}"
        category = CATEGORIES[number % len(CATEGORIES)]
        entries.append(model.model_copy(update={"slug": slug, "name": f"{first} {second}", "category": category}))
        logos[slug] = built_in.logo(model.slug)
    return Catalog.of(tuple(entries), logos, f"{count} made up")


def main() -> None:
    """Replace the built-in catalog, and run a command. The first argument is the number of integrations."""
    catalog = catalog_of(int(sys.argv.pop(1)))
    replace_catalog(catalog)
    cli.main()


if __name__ == "__main__":
    main()
