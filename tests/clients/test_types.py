"""The types of the JavaScript client under TypeScript's strict rules, in a project that has installed the package."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients.test_runtimes import RUNTIMES
from tests.foreign.process import NODE, NODE_PROJECT

pytestmark = pytest.mark.foreign

PROGRAM = Path(__file__).with_name("types.ts")
PAGE = Path(__file__).with_name("types_of_pages.tsx")
MODULE_SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "nodenext": ("module", {}),
    "commonjs": ("commonjs", {"module": "node16"}),
    "bundler": ("module", {"module": "esnext", "moduleResolution": "bundler"}),
}
NODE_TYPES = {"types": ["node"], "typeRoots": [str(NODE_PROJECT / "node_modules" / "@types")], "lib": ["es2024"]}
TYPESCRIPT: Final = {
    "typescript-7": NODE_PROJECT / "node_modules" / "typescript",
    "typescript-5": RUNTIMES / "node_modules" / "typescript-5",
}
"""Folders of the compilers. Only the long tests have TypeScript 5."""


def compiled(
    project: Path, program: str, name: str = "program.ts", version: str = "typescript-7", **more: object
) -> str:
    """Compile a program without the types of Node.js, and return the errors."""
    (project / name).write_text(program)
    options = {
        "strict": True,
        "noEmit": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "module": "nodenext",
        "target": "es2024",
        "types": [],
        **more,
    }
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": [name]}))
    command: list[str | Path] = [NODE, TYPESCRIPT[version] / "bin" / "tsc", "--project", project]
    compiler = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (compiler.returncode == 0) == (compiler.stdout == ""), compiler.stderr
    return compiler.stdout


@pytest.mark.parametrize(
    "type_, options",
    [
        *MODULE_SYSTEMS.values(),
        ("module", NODE_TYPES),
    ],
    ids=[*MODULE_SYSTEMS, "node-types"],
)
def test_correct_backend_code_compiles_and_mistakes_do_not(
    installed_client: Path, type_: str, options: dict[str, Any]
) -> None:
    (installed_client / "package.json").write_text(json.dumps({"type": type_}))
    assert compiled(installed_client, PROGRAM.read_text(), **options) == ""


def test_wrong_name_is_a_type_error(installed_client: Path) -> None:
    wrong = PROGRAM.read_text().replace("integrationSlug:", "integration_slug:")
    assert "integration_slug" in compiled(installed_client, wrong)


@pytest.mark.parametrize("system", MODULE_SYSTEMS)
def test_correct_page_code_compiles_and_mistakes_do_not(installed_packages: Path, system: str) -> None:
    type_, options = MODULE_SYSTEMS[system]
    folder = installed_packages / f"types-{system}"
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"type": type_}))
    assert compiled(folder, PAGE.read_text(), "page.tsx", jsx="react-jsx", **options) == ""


@pytest.mark.soak
@pytest.mark.parametrize("version", TYPESCRIPT)
@pytest.mark.parametrize("system", MODULE_SYSTEMS)
def test_page_code_compiles_with_the_types_of_react_18(
    installed_packages: Path, tmp_path: Path, system: str, version: str
) -> None:
    modules = tmp_path / "node_modules"
    shutil.copytree(installed_packages / "node_modules", modules)
    (modules / "@types").mkdir()
    (modules / "@types" / "react").symlink_to(RUNTIMES / "node_modules" / "types-react-18")
    type_, options = MODULE_SYSTEMS[system]
    (tmp_path / "package.json").write_text(json.dumps({"type": type_}))
    program = f'{PAGE.read_text()}// @ts-expect-error new in React 19\nexport {{ use }} from "react";\n'
    assert compiled(tmp_path, program, "page.tsx", version, jsx="react-jsx", **options) == ""
