"""The types of the JavaScript client under TypeScript's strict rules."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.clients.javascript import PACKAGE
from tests.foreign.process import NODE_PROJECT, node

pytestmark = pytest.mark.foreign

PROGRAM = Path(__file__).with_name("types.ts")


def compiled(folder: Path, program: str) -> str:
    """Compile a program and return the errors."""
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "program.ts").write_text(program)
    options = {
        "strict": True,
        "noEmit": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "module": "nodenext",
        "target": "es2024",
        "types": ["node"],
        "typeRoots": [str(NODE_PROJECT / "node_modules" / "@types")],
        "paths": {"@one-runtime/client": [str(PACKAGE / "index.d.ts")]},
    }
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["program.ts"]}))
    compiler = subprocess.run(
        [*node("node_modules/typescript/bin/tsc"), "--project", folder], capture_output=True, text=True, check=False
    )
    assert (compiler.returncode == 0) == (compiler.stdout == ""), compiler.stderr
    return compiler.stdout


def test_correct_backend_code_compiles_and_mistakes_do_not(tmp_path: Path) -> None:
    assert compiled(tmp_path, PROGRAM.read_text()) == ""


def test_wrong_name_is_a_type_error(tmp_path: Path) -> None:
    wrong = PROGRAM.read_text().replace("integrationSlug:", "integration_slug:")
    assert "integration_slug" in compiled(tmp_path, wrong)
