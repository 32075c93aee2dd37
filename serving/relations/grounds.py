"""What the records say of an actor and a patient's record: relations, consent, legal holds."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from serving.policy import FOR_RESEARCH, Action, Actor, ActorKind, Relation, Target
from serving.privacy.consents import Consents
from serving.privacy.holds import is_held
from serving.relations.records import EmergencyOverride, Referral


class Grounds:
    """Looks up what the policy leans on, at each access anew: what was withdrawn counts no more."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._consents = Consents(engine)

    def complete(self, actor: Actor, action: Action, target: Target, now: datetime) -> Target:
        """Return `target` with the relations that hold for `actor`, and what may forbid `action`.

        What is one's own, or no patient's, needs no look into the database but for the latter.
        """
        patient = target.patient
        if patient is None:
            return target
        if action in FOR_RESEARCH and target.institution is not None:
            agreed = self._consents.allows_research(patient, target.institution)
            target = replace(target, consents_to_research=agreed)
        if action is Action.ERASE_PERSON:
            target = replace(target, is_held=is_held(self._engine, patient))
        if target.institution in (None, actor.institution):
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
        if reader and owner and patient and self._consents.shares(patient, owner, reader):
            found.add(Relation.SHARED)
        return frozenset(found)
