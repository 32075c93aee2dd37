"""Legal holds: nothing of a patient is erased or pruned while one is in force."""

import secrets
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from models.errors import ZhuzhenError
from serving.privacy.records import LegalHold


class LegalHoldError(ZhuzhenError):
    """A legal hold forbids it, or there is none to lift."""


def place_hold(engine: Engine, patient: str, reason: str, placed_by: str) -> LegalHold:
    """Keep everything of a patient until the hold is lifted."""
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


def lift_hold(engine: Engine, hold_id: str) -> LegalHold:
    """End a hold.

    Raises:
        LegalHoldError: there is none of that number in force.
    """
    with Session(engine, expire_on_commit=False) as session, session.begin():
        found = session.get(LegalHold, hold_id)
        if found is None or found.lifted_at is not None:
            raise LegalHoldError("There is no legal hold of this number in force.")
        found.lifted_at = datetime.now(UTC)
    return found


def held_patients(engine: Engine) -> frozenset[str]:
    """Return the pseudonyms of all patients under a hold."""
    query = select(LegalHold.patient).where(LegalHold.lifted_at.is_(None))
    with Session(engine) as session:
        return frozenset(session.scalars(query))


def require_no_hold(engine: Engine, patient: str) -> None:
    """Go on only if nothing forbids to erase what there is of a patient.

    Raises:
        LegalHoldError: a hold does.
    """
    if patient in held_patients(engine):
        raise LegalHoldError(
            "A legal hold keeps what there is of this person; nothing was erased. An auditor can "
            "lift it. / 该患者资料处于法律保全状态，未删除任何内容。"
        )
