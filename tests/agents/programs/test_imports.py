"""The scan for import statements."""

from one_runtime.agents.programs.imports import imported_names


def test_imports_are_found_in_every_form_of_the_statement() -> None:
    code = """
import hubspot
import slack as chat, google_calendar ; import stripe
from notion import pages_list as pages
if True: import jira
def f():
    from one_runtime import call
    import a.b
x = 1; from github import (
    issues_list,
)
text = "import nothing"
# import comment
importer = 5
"""
    names = imported_names(code)
    for name in ("hubspot", "slack", "google_calendar", "stripe", "notion", "jira", "one_runtime", "a", "b", "github"):
        assert name in names
    assert not {"nothing", "comment", "importer", "pages_list"} & set(names)
    assert len(names) == len(set(names))


def test_the_scan_takes_linear_time() -> None:
    for text in ("import " * 4000, "import a, " * 3000, "from " + "a." * 15000, ";" * 30000, "import" + " " * 30000):
        imported_names(text)
