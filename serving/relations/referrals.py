"""Referrals: one patient's records handed to an institution that patients are referred to."""

import secrets
from datetime import datetime

from sqlalchemy import Engine, or_, select
from sqlalchemy.orm import Session

from serving.identity.errors import RequestRefusedError
from serving.identity.records import ReferralPath
from serving.policy import Actor
from serving.relations.records import Referral


class ReferralError(RequestRefusedError):
    """A referral cannot be opened or closed as it was asked for."""


def refer(engine: Engine, actor: Actor, patient: str, to: str, now: datetime) -> Referral:
    """Open a referral of a patient of the actor's institution to another one.

    Raises:
        ReferralError: the institutions do not refer to each other.
    """
    source = actor.institution
    with Session(engine, expire_on_commit=False) as session, session.begin():
        if source is None or not _refer_to_each_other(session, source, to):
            raise ReferralError(
                "Your institution and that one do not refer patients to each other; an "
                "administrator can change it with zhuzhen institutions refer."
            )
        referral = Referral(
            id=secrets.token_hex(8),
            patient=patient,
            from_id=source,
            to_id=to,
            opened_by=actor.id,
            opened_at=now,
            closed_at=None,
        )
        session.add(referral)
    return referral


def close_referral(engine: Engine, actor: Actor, referral_id: str, now: datetime) -> Referral:
    """Close a referral that the actor's institution sent or received.

    Raises:
        ReferralError: there is no open one.
    """
    with Session(engine, expire_on_commit=False) as session, session.begin():
        found = session.get(Referral, referral_id)
        concerned = found is not None and actor.institution in (found.from_id, found.to_id)
        if found is None or not concerned or found.closed_at is not None:
            raise ReferralError("There is no open referral of this number at your institution.")
        found.closed_at = now
    return found


def list_referrals(engine: Engine, institution: str) -> list[Referral]:
    """Return the open referrals from and to an institution, the oldest first."""
    concerned = or_(Referral.from_id == institution, Referral.to_id == institution)
    query = select(Referral).where(concerned, Referral.closed_at.is_(None))
    with Session(engine, expire_on_commit=False) as session:
        return list(session.scalars(query.order_by(Referral.opened_at)))


def _refer_to_each_other(session: Session, one: str, other: str) -> bool:
    """Whether there is a path between two institutions: patients go up along it, and back down."""
    paths = ((one, other), (other, one))
    return any(session.get(ReferralPath, path) is not None for path in paths)
