"""The search for end users by a text."""

from typing import Final

from one_runtime.reports import end_user_search
from one_runtime.reports.end_user_search import EndUserSearch
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser
from tests.application import Application

PEOPLE: Final = (
    ("a", "Ada Lovelace", "ada@example.com"),
    ("b", None, None),
    ("c", "Grace Hopper", "Grace@Example.com"),
    ("d", "Ada Yonath", None),
    ("e_1", "Zoë", "zoe@example.com"),
    ("f", "Ada Byron", "ADA@EXAMPLE.COM"),
)


async def found(application: Application, organization_id: str, text: str, scanned: int = 2) -> list[list[str]]:
    """Return the identifiers on each page of two end users. A page compares at most `scanned` end users."""
    pages, after = list[list[str]](), None
    async with application.installation.database.read() as tx:
        while True:
            page = await end_user_search.find(
                tx, organization_id, EndUserSearch(text), limit=2, after=after, scanned=scanned
            )
            pages.append([each.end_user_id for each in page.end_users])
            after = page.next_cursor
            if after is None:
                return pages


async def test_exact_identifier_or_address_comes_first_and_parts_are_searched_in_limited_steps(
    application: Application,
) -> None:
    organization_id, other = await application.organization(), await application.organization("Southwind Traders")
    now = application.clock()
    async with application.installation.database.write() as tx:
        for owner in (organization_id, other):
            for end_user_id, name, email in PEOPLE:
                await end_users.ensure(tx, owner, EndUser(end_user_id, name, email, now, now))
        await end_users.ensure(tx, other, EndUser("only there", "Ada", None, now, now))
    for text, pages in (
        ("a", [["a"]]),  # the identifier, although other names contain the letter
        ("Grace@Example.com", [["c"]]),
        ("ADA@example.com", [["a"]]),  # stored in lower case
        ("grace@example.com", [[], ["c"], [], []]),  # stored with another case: a part of the address
        ("ADA", [["a"], ["d"], ["f"], []]),
        ("lace", [["a"], [], [], []]),
        ("e_", [[], [], ["e_1"], []]),
        ("_", [[], [], ["e_1"], []]),
        ("%", [[], [], [], []]),
        ("only there", [[], [], [], []]),
        ("x\x00", [[]]),
    ):
        assert await found(application, organization_id, text) == pages, text
    assert await found(application, organization_id, "ada", scanned=100) == [["a", "d"], ["f"]]
    assert await found(application, organization_id, "ada", scanned=6) == [["a", "d"], ["f"]]
