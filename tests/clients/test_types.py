"""The types of the JavaScript client under TypeScript's strict rules, in a project that has installed the package."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.foreign.process import NODE_PROJECT, node

pytestmark = pytest.mark.foreign

PROGRAM = Path(__file__).with_name("types.ts")


def compiled(project: Path, program: str, **more: object) -> str:
    """Compile a program without the types of Node.js, and return the errors."""
    (project / "program.ts").write_text(program)
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
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["program.ts"]}))
    compiler = subprocess.run(
        [*node("node_modules/typescript/bin/tsc"), "--project", project], capture_output=True, text=True, check=False
    )
    assert (compiler.returncode == 0) == (compiler.stdout == ""), compiler.stderr
    return compiler.stdout


@pytest.mark.parametrize(
    "type_, options",
    [
        ("module", {}),
        ("commonjs", {"module": "node16"}),
        ("module", {"module": "esnext", "moduleResolution": "bundler"}),
        (
            "module",
            {"types": ["node"], "typeRoots": [str(NODE_PROJECT / "node_modules" / "@types")], "lib": ["es2024"]},
        ),
    ],
    ids=["nodenext", "commonjs", "bundler", "node-types"],
)
def test_correct_backend_code_compiles_and_mistakes_do_not(
    installed_client: Path, type_: str, options: dict[str, object]
) -> None:
    (installed_client / "package.json").write_text(json.dumps({"type": type_}))
    assert compiled(installed_client, PROGRAM.read_text(), **options) == ""


def test_wrong_name_is_a_type_error(installed_client: Path) -> None:
    wrong = PROGRAM.read_text().replace("integrationSlug:", "integration_slug:")
    assert "integration_slug" in compiled(installed_client, wrong)
