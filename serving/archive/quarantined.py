"""What was refused and lies in quarantine, as an operator sees to it: listed, copied, removed."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from models.errors import ZhuzhenError
from serving.archive.tables import INSTANCES, QUARANTINE


class NotInQuarantineError(ZhuzhenError, LookupError):
    """There is no such instance in quarantine."""


@dataclass(frozen=True, slots=True)
class QuarantineLine:
    """One instance in quarantine, in a list; nothing of it names a patient."""

    id: int
    institution: str
    source: str
    received_at: float
    """When it came last."""
    reason: str
    """One of `serving.archive.Refusal`, or `replaced`."""
    told: str
    """What the sender was told."""
    sop_instance_uid: str
    """Empty where the sender did not say it."""
    transfer_syntax_uid: str
    size: int
    """Bytes."""


def list_quarantined(engine: Engine, limit: int = 100) -> list[QuarantineLine]:
    """Return what lies in quarantine, the newest first."""
    query = select(QUARANTINE).order_by(QUARANTINE.c.received_at.desc(), QUARANTINE.c.id.desc())
    with engine.connect() as connection:
        return [
            QuarantineLine(
                id=row.id,
                institution=row.institution,
                source=row.source,
                received_at=row.received_at,
                reason=row.reason,
                told=row.told,
                sop_instance_uid=row.sop_instance_uid,
                transfer_syntax_uid=row.transfer_syntax_uid,
                size=row.size,
            )
            for row in connection.execute(query.limit(limit))
        ]


def find_quarantined(connection: Connection, number: int) -> Row[Any]:
    """Return the row of one.

    Raises:
        NotInQuarantineError: there is none.
    """
    found = connection.execute(select(QUARANTINE).where(QUARANTINE.c.id == number)).one_or_none()
    if found is None:
        raise NotInQuarantineError(
            f"Nothing in quarantine has the number {number}; `zhuzhen node quarantine` has all."
        )
    return found


def forget_quarantined(connection: Connection, number: int) -> str | None:
    """Take one off the list; return the digest of its object if nothing else is stored in it."""
    row = find_quarantined(connection, number)
    connection.execute(QUARANTINE.delete().where(QUARANTINE.c.id == number))
    for table in (INSTANCES, QUARANTINE):
        held = select(table.c.id).where(table.c.digest == row.digest).limit(1)
        if connection.execute(held).first() is not None:
            return None
    return str(row.digest)
