"""The first institution, and keys that the operator of the machine makes for its own programs.

Who may run commands in the service's folder holds its database and its keys anyway; such commands
act as the operator and need no credential.
"""

import contextlib
import os
import pwd
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from serving.identity.keys import id_of, make_key, revoke_key
from serving.identity.records import Institution, Tier
from serving.policy import Actor, ActorKind, Role
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
            revoke_key(engine, id_of(key))
    finally:
        engine.dispose()


def operator(institution: str = LOCAL) -> Actor:
    """Return who acts in commands on the machine itself, by the name of the system's user."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Actor(
        id=f"operator:{name}",
        kind=ActorKind.OPERATOR,
        roles=frozenset({Role.ADMINISTRATOR, Role.AUDITOR, Role.SYSTEM}),
        institution=institution,
    )
