"""One Runtime: embedded integrations, self-hosted."""

from importlib.metadata import version

__version__ = version("one-runtime")
