"""Acme's accounts: customers of Acme with an API key and contacts."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

GLOBEX: Final = "acc_globex"
INITECH: Final = "acc_initech"


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of an account."""

    id: str
    name: str
    email: str
    company: str

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "Contact":
        """Create a contact."""
        return cls("con_" + secrets.token_hex(8), fields["name"], fields.get("email", ""), fields.get("company", ""))

    def shown(self) -> dict[str, str]:
        """Return the JSON shape."""
        return {"id": self.id, "name": self.name, "email": self.email, "company": self.company}


@dataclass(slots=True)
class Account:
    """A customer of Acme CRM. A revoked key is kept, so that it can be restored."""

    id: str
    name: str
    key: str = field(repr=False)
    revoked: bool = False
    contacts: dict[str, Contact] = field(default_factory=dict)


class Accounts:
    """The two accounts. `keys` maps account ids to API keys."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._all = (
            Account(GLOBEX, "Globex Corporation", keys[GLOBEX], contacts=_contacts(_GLOBEX_CONTACTS)),
            Account(INITECH, "Initech", keys[INITECH], contacts=_contacts(_INITECH_CONTACTS)),
        )

    def __iter__(self) -> Iterator[Account]:
        return iter(self._all)

    def find(self, account_id: str | None) -> Account | None:
        """Return the account with this id."""
        return next((account for account in self._all if account.id == account_id), None)

    def find_by_key(self, key: str) -> Account | None:
        """Return the account with this key, revoked or not."""
        presented = key.encode()
        matching = (account for account in self._all if secrets.compare_digest(account.key.encode(), presented))
        return next(matching, None)


def new_key() -> str:
    """Return a new API key: `acme_` and 32 hexadecimal digits."""
    return "acme_" + secrets.token_hex(16)


def _contacts(rows: tuple[tuple[str, str, str], ...]) -> dict[str, Contact]:
    contacts = [Contact.of({"name": name, "email": email, "company": company}) for name, email, company in rows]
    return {contact.id: contact for contact in contacts}


_GLOBEX_CONTACTS: Final = (
    ("Priya Raman", "priya@hammond.example", "Hammond Logistics"),
    ("Jonas Weber", "jonas@kestrel.example", "Kestrel Energy"),
    ("Amara Obi", "amara@brightwell.example", "Brightwell Foods"),
)
_INITECH_CONTACTS: Final = (
    ("Lucía Vidal", "lucia@orchard.example", "Orchard Bank"),
    ("Sam Whitlock", "sam@pine.example", "Pine Street Clinic"),
)
