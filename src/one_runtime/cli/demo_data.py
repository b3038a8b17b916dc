"""Name the files of the demo that commands use without an option."""

from pathlib import Path
from typing import Final

DEMO_FOLDER: Final = Path(".one-runtime-demo")
"""Default folder of the demo's data."""

DEMO_DATABASE: Final = DEMO_FOLDER / "one-runtime.db"
