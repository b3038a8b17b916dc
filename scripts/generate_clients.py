"""Write the generated parts of the clients, from the OpenAPI document and the event types of the server here.

Start it from the root of the repository: `.venv/bin/python -m scripts.generate_clients`.
"""

import argparse
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from one_runtime.encryption.vault import new_key
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from one_runtime.tenancy.event_types import TYPES
from one_runtime.webhooks import samples
from scripts.client_generator import javascript, python
from scripts.client_generator.description import described


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    built: dict[str, Any] = create_app(Settings(encryption_keys=SecretStr(new_key()))).app.openapi()
    return built


def outdated() -> dict[Path, str | None]:
    """Return the new texts of the files that differ from the server. The text of a surplus file is None."""
    resources = described(document())
    event_types = [*TYPES, samples.TEST]
    generated = python.files(resources, event_types) | javascript.files(resources, event_types)
    folders = {python.PACKAGE / folder: "*.py" for folder in python.FOLDERS} | {javascript.FOLDER: "*.ts"}
    surplus = [path for folder, kind in folders.items() for path in folder.glob(kind) if path not in generated]
    changed = {path: text for path, text in generated.items() if not path.exists() or path.read_text("utf-8") != text}
    return {**changed, **dict.fromkeys(surplus)}


def main() -> None:
    """Write the files that differ."""
    argparse.ArgumentParser(description=__doc__, prog="python -m scripts.generate_clients").parse_args()
    for path, text in outdated().items():
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
