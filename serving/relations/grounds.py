"""Which relations hold between an actor and a record of another institution, now."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from serving.policy import Actor, ActorKind, Relation, Target
from serving.relations.records import EmergencyOverride, Referral

ConsentGrounds = Callable[[str, str, str], bool]
"""Whether a patient (pseudonym) agreed that records of one institution are shared with another."""


def _nobody_agreed(patient: str, owner: str, reader: str) -> bool:
    return False


class Grounds:
    """Looks the relations beyond ownership up; what each part adds is decided in one place."""

    def __init__(self, engine: Engine, consented: ConsentGrounds = _nobody_agreed) -> None:
        self._engine = engine
        self._consented = consented

    def complete(self, actor: Actor, target: Target, now: datetime) -> Target:
        """Return `target` with the relations that hold for `actor`.

        One's own records, and what is no patient's, need no look into the database.
        """
        if target.patient is None or target.institution in (None, actor.institution):
            return target
        return replace(target, granted=target.granted | self._found(actor, target, now))

    def _found(self, actor: Actor, target: Target, now: datetime) -> frozenset[Relation]:
        owner, patient, reader = target.institution, target.patient, actor.institution
        found = set()
        with Session(self._engine) as session:
            if reader is not None and session.scalar(
                select(Referral.id)
                .where(
                    Referral.to_id == reader,
                    Referral.patient == patient,
                    Referral.from_id == owner,
                    Referral.closed_at.is_(None),
                )
                .limit(1)
            ):
                found.add(Relation.REFERRED)
            if actor.kind is ActorKind.PERSON and session.scalar(
                select(EmergencyOverride.id)
                .where(
                    EmergencyOverride.actor == actor.id,
                    EmergencyOverride.patient == patient,
                    EmergencyOverride.begun_at <= now,
                    EmergencyOverride.expires_at > now,
                )
                .limit(1)
            ):
                found.add(Relation.EMERGENCY)
        if reader and owner and patient and self._consented(patient, owner, reader):
            found.add(Relation.SHARED)
        return frozenset(found)
