"""Find addresses in an entry to which One Runtime sends no requests (promise P7 of docs/security.md)."""

from collections.abc import Iterator
from itertools import chain, islice, product, zip_longest
from typing import Final, NamedTuple

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.model import Integration
from one_runtime.catalog.templates import fill, names_in
from one_runtime.egress.target import AllowList, find_refusal

_MOST_EXAMPLES: Final = 32
"""Maximum number of combinations of options to check for an entry with few hosts."""

_EXAMPLES_OF_HOST: Final = 4
"""For an entry with many hosts, the maximum is this number for each host with options."""


class _Host(NamedTuple):
    """The scheme and the host of a URL template. `options`: the possible values of each variable in the host."""

    scheme: str
    authority: str
    options: tuple[tuple[str, tuple[str, ...]], ...]

    def urls(self) -> Iterator[str]:
        """Yield a URL without a path for each combination of options."""
        names = [name for name, _ in self.options]
        for values in product(*(options for _, options in self.options)):
            yield f"{self.scheme}://{fill(self.authority, dict(zip(names, values, strict=True)))}/"


def refused_targets(integration: Integration, allow: AllowList) -> tuple[str, ...]:
    """Return one message for each address that One Runtime refuses. `allow`: the operator's allow-list.

    The function resolves no host name. So the messages tell the author nothing about the operator's network.
    """
    hosts = dict.fromkeys(host for auth in integration.auth for host in _hosts(auth))
    messages = (find_refusal(url, allow) for url in dict.fromkeys(_examples(list(hosts))))
    return tuple(dict.fromkeys(message for message in messages if message is not None))


def _hosts(auth: Auth) -> Iterator[_Host]:
    """Yield the host of each URL that receives a credential."""
    for template in chain.from_iterable(auth.credential_urls().values()):
        guards = {name: auth.host_guard(name) for name in names_in(template.authority)}
        options = (
            (name, guard.options if guard is not None and guard.options else ("x",)) for name, guard in guards.items()
        )
        yield _Host(template.scheme, template.authority, tuple(options))


def _examples(hosts: list[_Host]) -> Iterator[str]:
    """Yield the URL of each host without options. Then yield the first combination of each other host, then the second.

    The caller limits the number of examples. In this order, a host with many combinations leaves room for other hosts.
    """
    yield from (url for host in hosts if not host.options for url in host.urls())
    others = [host.urls() for host in hosts if host.options]
    examples = (url for urls in zip_longest(*others) for url in urls if url is not None)
    yield from islice(examples, max(_MOST_EXAMPLES, _EXAMPLES_OF_HOST * len(others)))
