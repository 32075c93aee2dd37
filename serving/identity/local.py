"""The first institution, and keys that the operator of the machine makes for its own programs.

Who may run commands in the service's folder holds its database and its keys anyway; such commands
act as the operator and need no credential.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from serving.identity.keys import make_key, revoke_key
from serving.identity.records import ApiKey, Institution, Tier
from serving.policy import Role
from serving.records import database_url, open_engine, upgrade

LOCAL = "local"
"""The institution that a new installation begins with."""
_PASSING = timedelta(days=1)
"""Validity of a key whose program forgot to give it back."""


def ensure_institution(engine: Engine) -> None:
    """Add the institution `local` where it is missing."""
    with Session(engine) as session, session.begin():
        if session.get(Institution, LOCAL) is None:
            session.add(
                Institution(
                    id=LOCAL,
                    name="This institution",
                    name_zh="本机构",
                    tier=Tier.PRIMARY,
                    created_at=datetime.now(UTC),
                )
            )


def has_keys(engine: Engine) -> bool:
    """Whether a key was ever made."""
    with Session(engine) as session:
        return bool(session.scalar(select(func.count()).select_from(ApiKey)))


@contextlib.contextmanager
def passing_key(
    *roles: Role, institution: str | None = LOCAL, label: str = "passing"
) -> Iterator[str]:
    """Give a key of this installation that is revoked when the context ends."""
    engine = open_engine(database_url())
    try:
        upgrade(engine)
        ensure_institution(engine)
        key = make_key(
            engine, label=label, roles=roles, institution=institution, valid_for=_PASSING
        )
        try:
            yield key
        finally:
            revoke_key(engine, key.split("_")[1])
    finally:
        engine.dispose()


def first_key() -> str | None:
    """Return a key for the first program of a new installation, None where there are keys."""
    engine = open_engine(database_url())
    try:
        upgrade(engine)
        ensure_institution(engine)
        if has_keys(engine):
            return None
        return make_key(engine, label="first start", roles=[Role.SYSTEM], institution=LOCAL)
    finally:
        engine.dispose()
