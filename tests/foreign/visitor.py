"""A person without a browser: follows redirects, fills in the forms of a provider's pages, over plain httpx2."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final, Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

from tests.foreign.person import Person

_STEPS: Final = 12
_CONTINUE: Final = "Continue"  # on pages that a browser leaves by script
_YES: Final = ("Authorize", "Allow", _CONTINUE)
_NO: Final = ("Cancel", "Deny", _CONTINUE)


class Stuck(AssertionError):
    """The provider's page offers no way to continue."""


@dataclass
class Form:
    """A form of a page: its target, its fields, and its buttons by their text."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)

    def data(self, button: str) -> dict[str, str]:
        """Return the form data that a browser sends for the button."""
        name, value = self.buttons[button]
        return {**self.fields, **({name: value} if name else {})}

    def button(self, *names: str) -> str | None:
        """Return the button with one of these texts."""
        return next((text for text in self.buttons if any(name in text for name in names)), None)


class _Forms(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._button: tuple[str, str] | None = None
        self._written = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        named = (attributes.get("name", ""), attributes.get("value", ""))
        if tag == "form":
            self.forms.append(Form(attributes.get("method", "get").upper(), attributes.get("action", "")))
        elif tag == "button":
            self._button, self._written = named, ""
        elif tag == "input" and attributes.get("type") == "submit":
            self.forms[-1].buttons[attributes["value"]] = named
        elif tag == "input" and self.forms:
            self.forms[-1].fields[named[0]] = named[1]

    def handle_data(self, data: str) -> None:
        self._written += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._button is not None:
            self.forms[-1].buttons[" ".join(self._written.split())] = self._button
            self._button = None


@dataclass
class Visitor:
    """A person's browser from the provider's point of view: it stores cookies.

    `choices`: fields to choose on the provider's pages. `seen`: every page that was shown.
    """

    http: httpx2.AsyncClient = field(default_factory=lambda: httpx2.AsyncClient(verify=False))
    choices: dict[str, str] = field(default_factory=dict)
    pages: list[httpx2.Response] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def consent(self, authorization_url: str, person: Person) -> dict[str, str]:
        """Log in and allow access, or press the person's button; return the callback's query."""
        return await self._visit(authorization_url, person, (*_YES, person.email))

    async def deny(self, authorization_url: str, person: Person) -> dict[str, str]:
        """Log in and deny access. Raises `Stuck` at vendors of `emulate`, which have no consent page."""
        return await self._visit(authorization_url, person, _NO)

    async def _visit(self, url: str, person: Person, decision: tuple[str, ...]) -> dict[str, str]:
        answer = await self.http.get(url)
        for _ in range(_STEPS):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if urlsplit(target).netloc != urlsplit(url).netloc:
                    return dict(parse_qsl(urlsplit(target).query))
                answer = await self.http.get(target)
            else:
                answer = await self._fill_in(answer, person, decision)
        raise Stuck(f"{url}: no callback after {_STEPS} steps")

    async def _fill_in(self, page: httpx2.Response, person: Person, decision: tuple[str, ...]) -> httpx2.Response:
        self.pages.append(page)
        if page.status_code != 200:
            raise Stuck(f"{page.url}: {page.status_code} {page.text}")
        collector = _Forms()
        collector.feed(page.text)
        for form in collector.forms:
            if "password" in form.fields:
                form.fields |= {"username": person.name, "password": person.password}
                return await self._submit(page, form, form.button("Log in"))
            pressed = form.button(*decision)
            if pressed is not None:
                form.fields |= {name: value for name, value in self.choices.items() if name in form.fields}
                return await self._submit(page, form, pressed)
        raise Stuck(f"{page.url}: {decision} are on no button of {page.text}")

    async def _submit(self, page: httpx2.Response, form: Form, button: str | None) -> httpx2.Response:
        assert button is not None
        return await self.http.request(form.method, urljoin(str(page.url), form.action), data=form.data(button))
