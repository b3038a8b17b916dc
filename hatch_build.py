"""Builds `catalog.json` for a wheel, and for an editable installation."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CatalogBuildHook(BuildHookInterface):
    """Compiles the catalog's entries before the files of the package are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Write `src/one_runtime/catalog/catalog.json`."""
        # The package itself cannot be imported here: it reads its version from metadata that this build makes.
        package = ModuleType("one_runtime")
        package.__path__ = [str(Path(self.root) / "src" / "one_runtime")]
        sys.modules["one_runtime"] = package
        from one_runtime.catalog.tools.build import write_catalog  # noqa: PLC0415

        write_catalog()
