"""Define the look-up: a request with a new token. The response contains values that later requests need."""

from collections.abc import Iterator

from one_runtime.catalog.parts import EntryPart, JsonPath, ParamName, RequestTemplate


class AccountChoices(EntryPart):
    """The list of accounts in a look-up's response.

    `at`: the path of the list, or None if the response itself is the list. `label`: the path of an account's label.
    """

    at: JsonPath | None = None
    label: JsonPath


class LookupPages(EntryPart):
    """The place of the next page, if the provider divides the list of accounts into pages.

    `next`: the path of the next page's URL in the response. With `param`, the value at the path is a cursor. The next
    request sends the cursor in the query parameter `param`. Without `next`, the URL is in the header `Link` (RFC 8288).
    """

    next: JsonPath | None = None
    param: ParamName | None = None

    def _inconsistencies(self) -> Iterator[str]:
        if self.param is not None and self.next is None:
            yield "param: add next, the path of the cursor in the response"


class LookupRequest(RequestTemplate):
    """A request with the new token. The response contains values that later requests need (received values).

    With `choices`, the response lists accounts, and the end user selects an account. The paths of received values then
    start at the selected account.
    """

    choices: AccountChoices | None = None
    pages: LookupPages | None = None

    def _inconsistencies(self) -> Iterator[str]:
        yield from super()._inconsistencies()
        if self.pages is None:
            return
        if self.choices is None:
            yield "pages: add choices, because only a list of accounts has pages; or remove pages"
        if self.method != "GET":
            yield "pages: use the method GET, because a page is selected by its URL; or remove pages"
        if self.pages.param is not None and self.pages.param in self.query:
            yield (f"pages.param: One Runtime sets {self.pages.param}, so remove {self.pages.param} from query")
