"""Hundreds of quick cases in one test, because pytest needs more time for the report of each case than the case."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Case = TypeVar("Case")


def in_one_test(cases: Iterable[Case], name: Callable[[Case], str]) -> Callable[[Callable[[Case], None]], object]:
    """Return a decorator that makes one test from a function with a case as its parameter.

    The test calls the function for all cases, and then reports every failure with the name of its case.
    """

    def decorate(check: Callable[[Case], None]) -> Callable[[], None]:
        def test() -> None:
            failures, checked = list[AssertionError](), 0
            for case in cases:
                checked += 1
                try:
                    check(case)
                except AssertionError as error:
                    error.add_note(f"in the case {name(case)}")
                    failures.append(error)
            assert checked, "there is no case"
            if failures:
                raise ExceptionGroup(f"{len(failures)} of {checked} cases failed", failures)

        for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
            setattr(test, attribute, getattr(check, attribute))
        return test

    return decorate
