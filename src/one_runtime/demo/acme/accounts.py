"""Create Acme's two sample accounts. An account is a customer of Acme, with an API key and contacts."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

GLOBEX: Final = "acc_globex"
INITECH: Final = "acc_initech"


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of an account."""

    id: str
    name: str
    email: str = ""
    company: str = ""


@dataclass(slots=True)
class Account:
    """A customer of Acme CRM. Acme keeps a revoked key, so that a test can restore the key.

    `restricted`: True if the key does not permit requests for the account itself, such as `/v1/me`.
    """

    id: str
    name: str
    key: str = field(repr=False)
    contacts: dict[str, Contact]
    revoked: bool = False
    restricted: bool = False


Accounts = Mapping[str, Account]


def create_accounts(keys: Mapping[str, str]) -> Accounts:
    """Return the two accounts with new contacts. `keys` maps the ids of the accounts to API keys."""
    names = {GLOBEX: "Globex Corporation", INITECH: "Initech"}
    accounts = {}
    for account_id, name in names.items():
        contacts = [Contact(new_contact_id(), *row) for row in _CONTACTS[account_id]]
        by_id = {contact.id: contact for contact in contacts}
        accounts[account_id] = Account(account_id, name, keys[account_id], by_id)
    return accounts


def new_contact_id() -> str:
    """Return the id of a new contact."""
    return "con_" + secrets.token_hex(8)


def new_key() -> str:
    """Return a new API key: `acme_` and 32 hexadecimal digits."""
    return "acme_" + secrets.token_hex(16)


def key_from(secret: str) -> str:
    """Return the API key that follows from a secret, so that the key stays the same after a restart."""
    return "acme_" + hashlib.sha256(secret.encode()).hexdigest()[:32]


_CONTACTS: Final = {
    GLOBEX: (
        ("Priya Raman", "priya@hammond.example", "Hammond Logistics"),
        ("Jonas Weber", "jonas@kestrel.example", "Kestrel Energy"),
        ("Amara Obi", "amara@brightwell.example", "Brightwell Foods"),
    ),
    INITECH: (
        ("Lucía Vidal", "lucia@orchard.example", "Orchard Bank"),
        ("Sam Whitlock", "sam@pine.example", "Pine Street Clinic"),
    ),
}
