"""Select the values of a connection that the API can show: the parameters, and the base URL of the provider's API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import resolve_url
from one_runtime.catalog.templates import names_in
from one_runtime.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class PublicValues:
    """Values that are not secret. `base_url`: None if the URL contains another value, such as a part of a key."""

    params: Mapping[str, str]
    base_url: str | None


NO_VALUES: Final = PublicValues({}, None)


def public_values(integration: Integration | None, auth_type: str, params: Mapping[str, str]) -> PublicValues:
    """Return the public values of a connection.

    `integration`: None if the connection's integration was deleted. `params`: the stored parameters. The result has the
    parameters that the end user enters, and the values in the base URL. Omit all other values that the provider sent.

    An organization can change its custom integration. So omit each parameter that the present entry does not declare as
    a parameter.
    """
    auth = integration.auth_of(auth_type) if integration is not None else None
    if auth is None:
        return NO_VALUES
    params, in_base_url = auth.complete(params), set(names_in(auth.base_url))
    names = {param.name for param in auth.params} | (auth.stored_names() & in_base_url)
    public = {name: value for name, value in params.items() if name in names}
    if not public.keys() >= in_base_url:
        return PublicValues(public, None)
    try:
        return PublicValues(public, resolve_url(auth.base_url, public))
    except InvalidInput:  # a stored value can be older than the entry's pattern
        return PublicValues(public, None)
