"""Operations that tests generate."""

import random
from typing import Any, Final

from one_runtime.agents.operations.index import words_in
from one_runtime.catalog.operation import Argument, Operation

NOUNS: Final = words_in(
    "contact company deal ticket invoice payment charge refund message channel user group team file folder document "
    "sheet row event calendar issue project repository branch commit webhook order product variant customer plan price "
    "coupon campaign list member segment template email attachment comment task board card label page block database "
    "report dashboard metric job candidate employee department leave shift survey response form question role policy"
)
VERBS: Final = words_in("list get create update delete search archive export import send cancel approve merge close")


def operation(full_name: str, method: str = "GET", path: str | None = None, **more: Any) -> Operation:
    """Return a valid operation, such as `operation("hubspot.contacts_list")`."""
    slug, _, name = full_name.partition(".")
    access = "read" if method == "GET" else "write"
    fields = {"integration_slug": slug, "name": name, "method": method, "path": path or f"/{name}", "access": access}
    return Operation.model_validate({**fields, "summary": f"{name.replace('_', ' ').capitalize()}.", **more})


def many_operations(slug: str, count: int, seed: int) -> list[Operation]:
    """Return different operations with names such as `deal_contacts_list`."""
    chosen = random.Random(seed)
    operations: dict[str, Operation] = {}
    while len(operations) < count:
        first, second, verb = chosen.choice(NOUNS), chosen.choice(NOUNS), chosen.choice(VERBS)
        name = f"{first}_{second}s_{verb}"
        operations[name] = operation(
            f"{slug}.{name}",
            "GET" if verb in {"list", "get"} else "POST",
            f"/v1/{first}s/{{id}}/{second}s/{verb}",
            summary=f"{verb.capitalize()} the {second}s of a {first}.",
            parameters=(
                Argument(name="id", location="path", required=True, description=f"Id of the {first}."),
                Argument(name="limit", location="query", type="integer", description="Maximum number of results."),
            ),
        )
    return list(operations.values())
