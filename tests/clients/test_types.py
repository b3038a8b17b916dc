"""The types of the JavaScript client under TypeScript's strict rules, in a project that has installed the package."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.foreign.process import NODE_PROJECT, node

pytestmark = pytest.mark.foreign

PROGRAM = Path(__file__).with_name("types.ts")
PAGE = Path(__file__).with_name("types_of_pages.tsx")
MODULE_SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "nodenext": ("module", {}),
    "commonjs": ("commonjs", {"module": "node16"}),
    "bundler": ("module", {"module": "esnext", "moduleResolution": "bundler"}),
}
NODE_TYPES = {"types": ["node"], "typeRoots": [str(NODE_PROJECT / "node_modules" / "@types")], "lib": ["es2024"]}


def compiled(project: Path, program: str, name: str = "program.ts", **more: object) -> str:
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
    compiler = subprocess.run(
        [*node("node_modules/typescript/bin/tsc"), "--project", project], capture_output=True, text=True, check=False
    )
    assert (compiler.returncode == 0) == (compiler.stdout == ""), compiler.stderr
    return compiler.stdout


@pytest.mark.parametrize(
    "type_, options",
    [
        *MODULE_SYSTEMS.values(),
        (
            "module",
            {"types": ["node"], "typeRoots": [str(NODE_PROJECT / "node_modules" / "@types")], "lib": ["es2024"]},
        ),
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
