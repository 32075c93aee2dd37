"""Institutions: their tiers, and where each refers patients to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from models.findings import Text
from serving.identity.errors import NO_INSTITUTION, RequestRefusedError
from serving.identity.records import Institution, ReferralPath, Tier

ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class InstitutionError(RequestRefusedError):
    """An institution cannot be made or changed as it was asked for."""


@dataclass(frozen=True, slots=True)
class Described:
    """An institution with where it refers to."""

    id: str
    name: str
    name_zh: str
    tier: Tier
    refers_to: tuple[str, ...]


def add_institution(
    engine: Engine, institution: str, *, name: str, name_zh: str, tier: Tier, now: datetime
) -> None:
    """Add an institution.

    Raises:
        InstitutionError: saying what about the request cannot be.
    """
    if not ID.fullmatch(institution):
        raise InstitutionError(
            "The identifier is not one; expected 1 to 64 lower-case letters, digits or hyphens."
        )
    if not name.strip() or not name_zh.strip():
        raise InstitutionError("The name is empty; give one in English and one in Chinese.")
    with Session(engine) as session, session.begin():
        if session.get(Institution, institution) is not None:
            raise InstitutionError(f"There is an institution {institution!r} already.")
        session.add(
            Institution(
                id=institution,
                name=name.strip(),
                name_zh=name_zh.strip(),
                tier=tier,
                created_at=now,
            )
        )


def is_known(engine: Engine, institution: str) -> bool:
    """Whether there is an institution of that identifier."""
    with Session(engine) as session:
        return session.get(Institution, institution) is not None


def require_institution(engine: Engine, institution: str) -> None:
    """Go on only if there is an institution of that identifier.

    Raises:
        InstitutionError: there is none.
    """
    if not is_known(engine, institution):
        raise InstitutionError(NO_INSTITUTION)


def set_referrals(engine: Engine, institution: str, targets: Iterable[str]) -> None:
    """Say where an institution refers patients to, in place of what was said before.

    Raises:
        InstitutionError: one of them does not exist, or it would refer to itself.
    """
    wanted = sorted(set(targets))
    if institution in wanted:
        raise InstitutionError("An institution does not refer to itself; name others.")
    with Session(engine) as session, session.begin():
        for named in (institution, *wanted):
            if session.get(Institution, named) is None:
                raise InstitutionError(NO_INSTITUTION)
        session.execute(delete(ReferralPath).where(ReferralPath.from_id == institution))
        session.add_all(ReferralPath(from_id=institution, to_id=target) for target in wanted)


def list_institutions(engine: Engine) -> list[Described]:
    """Return all institutions by identifier."""
    with Session(engine) as session:
        paths = session.execute(select(ReferralPath.from_id, ReferralPath.to_id)).all()
        found = session.scalars(select(Institution).order_by(Institution.id)).all()
        return [
            Described(
                one.id,
                one.name,
                one.name_zh,
                Tier(one.tier),
                tuple(sorted(to for source, to in paths if source == one.id)),
            )
            for one in found
        ]


def names_of_institutions(engine: Engine) -> dict[str, Text]:
    """Return what each institution is called, by its identifier."""
    with Session(engine) as session:
        found = session.execute(select(Institution.id, Institution.name, Institution.name_zh))
        return {institution: Text(name, name_zh) for institution, name, name_zh in found}
