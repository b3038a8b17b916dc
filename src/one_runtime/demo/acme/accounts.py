"""Acme's accounts: each a customer with an API key and contacts."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

GLOBEX: Final = "acc_globex"
INITECH: Final = "acc_initech"


@dataclass(frozen=True, slots=True)
class Contact:
    """A record of an account."""

    id: str
    name: str
    email: str
    company: str

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Contact":
        """A new one."""
        return cls("con_" + secrets.token_hex(8), given["name"], given.get("email", ""), given.get("company", ""))

    def shown(self) -> dict[str, str]:
        """The wire shape."""
        return {"id": self.id, "name": self.name, "email": self.email, "company": self.company}


@dataclass(slots=True)
class Account:
    """A customer of Acme CRM. A revoked key is remembered, so that it can be restored."""

    id: str
    name: str
    key: str = field(repr=False)
    revoked: bool = False
    contacts: dict[str, Contact] = field(default_factory=dict)


class Accounts:
    """The two accounts there are. `keys` gives each its key, by account id."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._all = (
            Account(GLOBEX, "Globex Corporation", keys[GLOBEX], contacts=_contacts(_GLOBEX_CONTACTS)),
            Account(INITECH, "Initech", keys[INITECH], contacts=_contacts(_INITECH_CONTACTS)),
        )

    def __iter__(self) -> Iterator[Account]:
        return iter(self._all)

    def find(self, account_id: str | None) -> Account | None:
        """The account with this id."""
        return next((account for account in self._all if account.id == account_id), None)

    def find_by_key(self, key: str) -> Account | None:
        """The account with this key, revoked or not."""
        given = key.encode()
        return next((one for one in self._all if secrets.compare_digest(one.key.encode(), given)), None)


def new_key() -> str:
    """A new Acme CRM API key, `acme_` and 32 letters and digits."""
    return "acme_" + secrets.token_hex(16)


def _contacts(rows: tuple[tuple[str, str, str], ...]) -> dict[str, Contact]:
    made = [Contact.of({"name": name, "email": email, "company": company}) for name, email, company in rows]
    return {contact.id: contact for contact in made}


_GLOBEX_CONTACTS: Final = (
    ("Priya Raman", "priya@hammond.example", "Hammond Logistics"),
    ("Jonas Weber", "jonas@kestrel.example", "Kestrel Energy"),
    ("Amara Obi", "amara@brightwell.example", "Brightwell Foods"),
)
_INITECH_CONTACTS: Final = (
    ("Lucía Vidal", "lucia@orchard.example", "Orchard Bank"),
    ("Sam Whitlock", "sam@pine.example", "Pine Street Clinic"),
)
