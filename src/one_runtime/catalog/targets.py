"""Find addresses in an entry to which One Runtime sends no requests (promise P7 of docs/security.md)."""

from collections.abc import Iterator
from itertools import islice, product
from typing import Final

from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.templates import fill, names_in
from one_runtime.egress import AllowList, find_refusal

_MOST_EXAMPLES: Final = 32
"""Maximum number of URLs to check for one entry. The hosts of an entry can have many combinations of options."""


def refused_targets(integration: Integration, allow: AllowList) -> tuple[str, ...]:
    """Return one message for each address that One Runtime refuses. `allow`: the operator's allow-list.

    The function resolves no name. So the messages contain only addresses of the entry, and the author of the entry
    cannot explore the operator's network.
    """
    urls = islice((url for auth in integration.auth for url in _examples(auth)), _MOST_EXAMPLES)
    messages = (find_refusal(url, allow) for url in dict.fromkeys(urls))
    return tuple(dict.fromkeys(message for message in messages if message is not None))


def _examples(auth: Auth) -> Iterator[str]:
    """Yield each URL that receives a credential, without its path, for each combination of options in its host."""
    templates = (template for templates in auth.credential_urls().values() for template in templates)
    for scheme, authority in dict.fromkeys((template.scheme, template.authority) for template in templates):
        names = tuple(dict.fromkeys(names_in(authority)))
        guards = [auth.host_guard(name) for name in names]
        options = [guard.options if guard is not None and guard.options else ("x",) for guard in guards]
        for values in product(*options):
            yield f"{scheme}://{fill(authority, dict(zip(names, values, strict=True)))}/"
