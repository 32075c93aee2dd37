"""Legal holds: nothing of a patient is erased or pruned while one is in force."""

import secrets
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from serving.identity.errors import RequestRefusedError
from serving.privacy.records import LegalHold

REASON = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""A machine name or the number of a file, never words about the patient: it is kept in clear."""


class LegalHoldError(RequestRefusedError):
    """There is no hold to lift."""


def place_hold(engine: Engine, patient: str, reason: str, placed_by: str) -> LegalHold:
    """Keep everything of a patient (pseudonym) until the hold is lifted."""
    hold = LegalHold(
        id=secrets.token_hex(8),
        patient=patient,
        reason=reason,
        placed_by=placed_by,
        placed_at=datetime.now(UTC),
        lifted_at=None,
    )
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.add(hold)
    return hold


def find_hold(engine: Engine, hold_id: str) -> LegalHold:
    """Return the hold of that number, which is in force.

    Raises:
        LegalHoldError: there is none.
    """
    with Session(engine, expire_on_commit=False) as session:
        found = session.get(LegalHold, hold_id)
    if found is None or found.lifted_at is not None:
        raise LegalHoldError(
            "There is no legal hold of this number in force. / 无此编号的有效保全。"
        )
    return found


def lift_hold(engine: Engine, hold_id: str) -> LegalHold:
    """End a hold.

    Raises:
        LegalHoldError: there is none of that number in force.
    """
    found = find_hold(engine, hold_id)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.add(found)
        found.lifted_at = datetime.now(UTC)
    return found


def list_holds(engine: Engine) -> list[LegalHold]:
    """Return all holds, lifted ones too, the newest first."""
    with Session(engine, expire_on_commit=False) as session:
        return list(session.scalars(select(LegalHold).order_by(LegalHold.placed_at.desc())))


def held_patients(engine: Engine) -> frozenset[str]:
    """Return the pseudonyms of all patients under a hold."""
    query = select(LegalHold.patient).where(LegalHold.lifted_at.is_(None))
    with Session(engine) as session:
        return frozenset(session.scalars(query))


def is_held(engine: Engine, patient: str) -> bool:
    """Whether a patient is under a hold."""
    query = select(LegalHold.id).where(LegalHold.patient == patient, LegalHold.lifted_at.is_(None))
    with Session(engine) as session:
        return session.scalar(query.limit(1)) is not None
