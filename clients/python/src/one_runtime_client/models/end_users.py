"""Define the classes of answers of `end_users`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from one_runtime_client.models.connections import Revocation

__all__ = [
    "DeletedEndUser",
    "EndUser",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedEndUser:
    """The deleted end user, and the results of revoking the tokens.

    Attributes:
        end_user_id: Your own identifier of the end user.
        deleted_connections: The number of deleted connections.
        revocations: The result of revoking each token at the provider.
    """

    end_user_id: str
    deleted_connections: int
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndUser:
    """A user of your product. `end_user_id`: your own identifier of this user.

    Attributes:
        end_user_id: Your own identifier of the end user.
        name: The end user's name, or None.
        email: The end user's e-mail address, or None.
        created_at: The time of the creation, as in RFC 3339.
        updated_at: The time of the last change, as in RFC 3339.
        metadata: An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not
            interpret it.
    """

    end_user_id: str
    name: str | None
    email: str | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, Any]
