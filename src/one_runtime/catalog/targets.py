"""Find addresses in an entry to which One Runtime sends no requests (promise P7 of docs/security.md)."""

from collections.abc import Iterator
from itertools import islice, product
from typing import Final

from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.templates import UrlTemplate, fill, names_in
from one_runtime.egress import AllowList, find_refusal

_MOST_EXAMPLES: Final = 100
"""Maximum number of URLs to check for one template."""


def refused_targets(integration: Integration, allow: AllowList) -> tuple[str, ...]:
    """Return one message for each address that One Runtime refuses. `allow`: the operator's allow-list.

    The function resolves no name. So the messages contain only addresses of the entry, and the author of the entry
    cannot explore the operator's network.
    """
    urls = dict.fromkeys(
        example
        for auth in integration.auth
        for templates in auth.credential_urls().values()
        for template in templates
        for example in _examples(auth, template)
    )
    refusals = (find_refusal(url, allow) for url in urls)
    return tuple(dict.fromkeys(refusal.cause for refusal in refusals if refusal is not None))


def _examples(auth: Auth, template: UrlTemplate) -> Iterator[str]:
    """Yield the URL without its path, once for each combination of options in its host."""
    names = tuple(dict.fromkeys(names_in(template.authority)))
    guards = [auth.host_guard(name) for name in names]
    options = [guard.options if guard is not None and guard.options else ("x",) for guard in guards]
    for values in islice(product(*options), _MOST_EXAMPLES):
        yield f"{template.scheme}://{fill(template.authority, dict(zip(names, values, strict=True)))}/"
