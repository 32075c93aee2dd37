"""Tokens that are good for one request: which were used already, known to every process."""

import hashlib
from datetime import datetime

from sqlalchemy import Engine, String, delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from serving.records.base import Base
from serving.records.database import writing


class UsedToken(Base):
    """A token that was used, until nobody would take it any more anyway."""

    __tablename__ = "used_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of its issuer and `jti`, hexadecimal: both are the sender's words."""
    expires_at: Mapped[datetime] = mapped_column(index=True)


def use_once(
    engine: Engine, issuer: str, token_id: str, *, expires_at: datetime, now: datetime
) -> bool:
    """Note on disk that a token is used now; return False where it was used before.

    The database decides, so that of two processes that are sent the same token one alone takes it.
    """
    digest = hashlib.sha256(f"{len(issuer)}:{issuer}{token_id}".encode()).hexdigest()
    try:
        with writing(engine) as connection:
            connection.execute(delete(UsedToken).where(UsedToken.expires_at < now))
            connection.execute(insert(UsedToken).values(digest=digest, expires_at=expires_at))
    except IntegrityError:
        return False
    return True
