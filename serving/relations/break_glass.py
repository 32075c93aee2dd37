"""Emergency override ("break-glass"): access to one patient, now, answered for afterwards.

IHE ITI Access Control white paper (2009), 4.3.1; the purpose of use is ETREAT of HL7 v3.
"""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from serving.identity.errors import RequestRefusedError
from serving.policy import Actor
from serving.relations.records import EmergencyOverride

LASTS = timedelta(hours=1)
SHORTEST_REASON = 10
LONGEST_REASON = 1000


class BreakGlassError(RequestRefusedError):
    """An emergency override was asked for or reviewed in a way that cannot be."""


def break_glass(
    engine: Engine, actor: Actor, patient: str, reason: str, now: datetime
) -> EmergencyOverride:
    """Let `actor` see a patient of any institution for an hour; the caller records and alerts.

    Raises:
        BreakGlassError: the reason says nothing.
    """
    words = reason.strip()
    if not SHORTEST_REASON <= len(words.encode()) <= LONGEST_REASON * 4:
        raise BreakGlassError(
            "The reason is missing or of a length that says nothing; expected a sentence that "
            "somebody can judge afterwards. / 请用一句话说明紧急调阅的理由，事后将被核查。"
        )
    override = EmergencyOverride(
        id=secrets.token_hex(8),
        actor=actor.id,
        actor_institution=actor.institution,
        patient=patient,
        reason=words,
        begun_at=now,
        expires_at=now + LASTS,
        reviewed_by=None,
        reviewed_at=None,
    )
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.add(override)
    return override


def list_overrides(engine: Engine, *, unreviewed: bool = False) -> list[EmergencyOverride]:
    """Return emergency overrides, the newest first."""
    query = select(EmergencyOverride).order_by(EmergencyOverride.begun_at.desc())
    if unreviewed:
        query = query.where(EmergencyOverride.reviewed_at.is_(None))
    with Session(engine, expire_on_commit=False) as session:
        return list(session.scalars(query))


def find_override(engine: Engine, override_id: str) -> EmergencyOverride:
    """Return the emergency override of that number.

    Raises:
        BreakGlassError: there is none.
    """
    with Session(engine, expire_on_commit=False) as session:
        found = session.get(EmergencyOverride, override_id)
    if found is None:
        raise BreakGlassError(
            "There is no emergency override of this number. / 无此编号的紧急调阅。"
        )
    return found


def review_override(engine: Engine, override_id: str, reviewer: Actor, now: datetime) -> None:
    """Note that somebody looked at an override.

    Raises:
        BreakGlassError: there is none that waits for it, or it is the reviewer's own.
    """
    with Session(engine) as session, session.begin():
        found = session.get(EmergencyOverride, override_id)
        if found is None or found.reviewed_at is not None or found.actor == reviewer.id:
            raise BreakGlassError(
                "There is no emergency override of this number that waits for your review; "
                "nobody reviews an own one."
            )
        session.execute(
            update(EmergencyOverride)
            .where(EmergencyOverride.id == override_id)
            .values(reviewed_by=reviewer.id, reviewed_at=now)
        )
