"""Builds `catalog.json` for a wheel and for an editable installation. Adds the commit to a wheel and to an sdist."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackageBuildHook(BuildHookInterface):
    """Compiles the catalog's entries, and finds the commit, before the files of the package are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write `src/one_runtime/catalog/catalog.json`, and add `commit.txt` to the package."""
        # The package itself cannot be imported here: it reads its version from metadata that this build makes.
        package = ModuleType("one_runtime")
        package.__path__ = [str(Path(self.root) / "src" / "one_runtime")]
        sys.modules["one_runtime"] = package
        if self.target_name == "wheel":
            from one_runtime.catalog.tools.build import write_catalog  # noqa: PLC0415

            write_catalog()
        if version != "editable":  # an editable installation reads the clone's `.git`
            self._add_commit(build_data)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Delete the temporary folder."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    def _add_commit(self, build_data: dict[str, Any]) -> None:
        from one_runtime.version import COMMIT_FILE, read_commit  # noqa: PLC0415

        # The Dockerfile sets SOURCE_COMMIT, because the build context of an image contains no `.git`.
        commit = os.environ.get("SOURCE_COMMIT") or read_commit(Path(self.root))
        if commit is None:
            return
        self._folder = TemporaryDirectory()
        file = Path(self._folder.name) / COMMIT_FILE
        file.write_text(f"{commit}\n")
        package = "one_runtime" if self.target_name == "wheel" else "src/one_runtime"
        build_data["force_include"][str(file)] = f"{package}/{COMMIT_FILE}"
