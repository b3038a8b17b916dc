"""`one-runtime …` with Acme in the catalog: `python -m tests.promises.served_with_acme <Acme's address> …`."""

import sys

from one_runtime import app, cli
from tests.application import catalog_with_acme


def main() -> None:
    """Put Acme at the first argument's address into the catalog, then run the command of the others."""
    catalog = catalog_with_acme(sys.argv.pop(1))
    vars(app)["load_catalog"] = lambda: catalog
    cli.main()


if __name__ == "__main__":
    main()
