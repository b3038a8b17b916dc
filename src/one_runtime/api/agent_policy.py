"""Define the fields of a policy of agents. End-user tokens and organizations have these fields."""

import re
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from one_runtime.api.fields import Body, Slug, whole_number
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.errors import InvalidInput
from one_runtime.tenancy.agent_policy import MAX_CALLS_PER_RUN, Access, AgentPolicy

Method: TypeAlias = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_MAX_ITEMS: Final = 1000


def _host(text: str) -> str:
    host = text.strip().lower()
    if _HOST.fullmatch(host) is None:
        raise PydanticCustomError("host", "must be a host name such as api.hubapi.com, without a scheme and a port")
    return host


_Host: TypeAlias = Annotated[str, AfterValidator(_host)]
Calls: TypeAlias = Annotated[int, Field(ge=0, le=MAX_CALLS_PER_RUN), whole_number(0, MAX_CALLS_PER_RUN)]


class PolicyFields(Body):
    """The limits of an agent. For a list, null allows every value, and an empty list allows none.

    - `access`: `read` allows only calls that change nothing. `ask` also allows calls that the end user has approved.
      `write` allows all calls.
    - `integrations`: the slugs of the integrations that the agent can use.
    - `hosts`: the host names of providers that the agent can call.
    - `methods`: the HTTP methods that the agent can use.
    - `calls_per_run`: the number of calls that one program of the agent can make.
    """

    access: Access = "read"
    integrations: list[Slug] | None = Field(None, max_length=_MAX_ITEMS)
    hosts: list[_Host] | None = Field(None, max_length=_MAX_ITEMS)
    methods: list[Method] | None = None
    calls_per_run: Calls = MAX_CALLS_PER_RUN


def policy_of(body: PolicyFields, catalog: Catalog, prefix: str = "", known: AgentPolicy | None = None) -> AgentPolicy:
    """Return the policy of a body. Raises: InvalidInput for a slug that is not in the catalog.

    `prefix`: the path of the fields in the request. `known`: a stored policy, whose slugs need no check.
    """
    kept = (known.integrations if known is not None else None) or frozenset()
    for slug in body.integrations or ():
        if slug not in kept and catalog.get(slug) is None:
            raise InvalidInput.of(f"{prefix}integrations", unknown(slug, catalog).detail)
    return AgentPolicy.parse(body.model_dump(include=set(PolicyFields.model_fields)))
