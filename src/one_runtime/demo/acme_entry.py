"""The catalog entry and the operations of Acme CRM, the demo's provider. The built-in catalog does not contain Acme."""

from functools import partial
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.model import Integration
from one_runtime.egress.target import AllowList
from one_runtime.settings import Settings, parse_host_port

if TYPE_CHECKING:  # commands do not need operations
    from one_runtime.agents.operations.library import Reader
    from one_runtime.catalog.operation import Operation

ACME: Final = "acme"
"""The slug of the entry."""

_FOLDER: Final = files("one_runtime.demo")


def acme_entry(url: str) -> Integration:
    """Return the entry of an Acme at this URL."""
    from one_runtime.catalog.entry_files import load_yaml  # noqa: PLC0415 - imports the YAML parser

    with as_file(_FOLDER / "acme.yaml") as path:
        return load_yaml(path, allow_http=True, replace={"acme_url": url})


def acme_operations(url: str) -> "dict[str, tuple[Operation, ...]]":
    """Return the operations of an Acme at this URL, by slug. An `OperationLibrary` can read them."""
    from one_runtime.agents.operations.data import read_data  # noqa: PLC0415 - imports the YAML parser

    with as_file(_FOLDER / "acme_operations.yaml") as path:
        return {ACME: read_data(path, ACME, allow_http=True, replace={"acme_url": url})}


def operation_readers(catalog: Catalog) -> "tuple[Reader, ...]":
    """Return a function that reads Acme's operations, if the catalog contains Acme."""
    entry = catalog.get(ACME)
    return () if entry is None else (partial(acme_operations, entry.auth[0].base_url),)


def with_acme(catalog: Catalog, url: str) -> Catalog:
    """Return the catalog with the entry of an Acme at this URL."""
    return catalog.with_extra(acme_entry(url), (_FOLDER / "acme.svg").read_text("utf-8"))


def catalog_of(settings: Settings) -> Catalog:
    """Return the built-in catalog, with Acme if this server serves Acme."""
    return with_acme(load_catalog(), acme_url(settings)) if settings.acme_listen else load_catalog()


def allowed_targets(settings: Settings) -> AllowList:
    """Return the private targets that the operator allows, with Acme's address if this server serves Acme."""
    acme_targets = {parse_host_port(settings.acme_listen)} if settings.acme_listen else set()
    return settings.egress_allow | acme_targets


def acme_url(settings: Settings) -> str:
    """Return the URL of the Acme that a server with these settings serves."""
    return f"http://{settings.acme_listen}"
