"""The catalog entry and the operations of Acme CRM, the demo's provider. The built-in catalog does not contain Acme."""

from importlib.resources import as_file, files
from typing import Final

from one_runtime.agents.operations.data import read_data
from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.operation import Operation

ACME: Final = "acme"
"""The slug of the entry."""

_FOLDER: Final = files("one_runtime.demo")


def acme_entry(url: str) -> Integration:
    """Return the entry of an Acme at this URL."""
    with as_file(_FOLDER / "acme.yaml") as path:
        return load_yaml(path, allow_http=True, replace={"acme_url": url})


def acme_operations(url: str) -> dict[str, tuple[Operation, ...]]:
    """Return the operations of an Acme at this URL, by slug. An `OperationLibrary` can read them."""
    with as_file(_FOLDER / "acme_operations.yaml") as path:
        return {ACME: read_data(path, ACME, allow_http=True, replace={"acme_url": url})}


def with_acme(catalog: Catalog, url: str) -> Catalog:
    """Return the catalog with the entry of an Acme at this URL."""
    return catalog.with_extra(acme_entry(url), (_FOLDER / "acme.svg").read_text("utf-8"))
