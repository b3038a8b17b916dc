"""A pytest plugin: at the end of the run, prints the figures that the drills measured, one line for each drill."""

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import pytest
from _pytest.terminal import TerminalReporter

Figures: TypeAlias = Callable[[str], None]

_PROPERTY: Final = "figures"


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Provide a function that records a line of figures."""
    return partial(record_property, _PROPERTY)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the lines. With pytest-xdist, the reports of the workers contain them."""
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {value}"
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, value in report.user_properties
        if name == _PROPERTY
    ]
    if lines:
        terminalreporter.section("figures of the drills")
        for line in lines:
            terminalreporter.write_line(line)
