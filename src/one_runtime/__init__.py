"""One Runtime: embedded integrations, self-hosted."""

from importlib import metadata
from pathlib import Path

from one_runtime.version import build_version

RELEASE = metadata.version("one-runtime")
"""The release, such as `0.1.0`. Several builds can have the same release."""

__version__ = build_version(RELEASE, Path(__file__).parent)
"""The version of this build, with the commit."""
