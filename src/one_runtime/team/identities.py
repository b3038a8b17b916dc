"""Store which accounts at an OpenID provider belong to which members.

The issuer and the subject identify an account forever. An e-mail address does not, because an address can belong to
another person later. So each member has at most one account at an issuer.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import identities, members
from one_runtime.db.upsert import insert
from one_runtime.team.members import Member

_COLUMNS: Final = tuple(members.c[name] for name in Member.__dataclass_fields__)
_FIND = (
    select(*_COLUMNS)
    .join(identities, identities.c.member_id == members.c.id)
    .where(identities.c.issuer == bindparam("issuer"), identities.c.subject == bindparam("subject"))
)
# The lock of the member: two sign-ins must not link two accounts at the same time.
_LOCK = select(*_COLUMNS).where(members.c.id == bindparam("member")).with_for_update(key_share=True)
_OF_MEMBER = (
    select(*_COLUMNS)
    .join(identities, identities.c.member_id == members.c.id)
    .where(identities.c.issuer == bindparam("issuer"), identities.c.member_id == bindparam("member"))
)
_INSERT = insert(identities).on_conflict_do_nothing(index_elements=[identities.c.issuer, identities.c.subject])


async def find_member(tx: Transaction, issuer: str, subject: str) -> Member | None:
    """Return the member to whom an account belongs, or None."""
    return await tx.one(_FIND, Member, issuer=issuer, subject=subject)


async def is_linked(tx: Transaction, member_id: str, issuer: str) -> bool:
    """Return True if the member has an account at the issuer. Lock the member until the transaction ends."""
    await tx.one(_LOCK, Member, member=member_id)
    return await tx.one(_OF_MEMBER, Member, issuer=issuer, member=member_id) is not None


async def link(tx: Transaction, member_id: str, issuer: str, subject: str, now: datetime) -> bool:
    """Give an account to a member. Return False if the account belongs to a member already.

    Call `is_linked` before, in the same transaction.
    """
    values = {"issuer": issuer, "subject": subject, "member_id": member_id, "created_at": now}
    return await tx.execute(_INSERT, **values) > 0
