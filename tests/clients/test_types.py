"""The types of the JavaScript client under TypeScript's strict rules, in a project that has installed the package."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.foreign.process import NODE_PROJECT, node

pytestmark = pytest.mark.foreign

PROGRAM = Path(__file__).with_name("types.ts")


def compiled(project: Path, program: str) -> str:
    """Compile a program and return the errors."""
    (project / "program.ts").write_text(program)
    options = {
        "strict": True,
        "noEmit": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "module": "nodenext",
        "target": "es2024",
        "types": ["node"],
        "typeRoots": [str(NODE_PROJECT / "node_modules" / "@types")],
    }
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["program.ts"]}))
    compiler = subprocess.run(
        [*node("node_modules/typescript/bin/tsc"), "--project", project], capture_output=True, text=True, check=False
    )
    assert (compiler.returncode == 0) == (compiler.stdout == ""), compiler.stderr
    return compiler.stdout


def test_correct_backend_code_compiles_and_mistakes_do_not(installed_client: Path) -> None:
    assert compiled(installed_client, PROGRAM.read_text()) == ""


def test_wrong_name_is_a_type_error(installed_client: Path) -> None:
    wrong = PROGRAM.read_text().replace("integrationSlug:", "integration_slug:")
    assert "integration_slug" in compiled(installed_client, wrong)
