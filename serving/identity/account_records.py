"""The records of people's accounts and of the sessions of their browsers."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from serving.privacy.sealed_columns import SealedText
from serving.records.base import Base


class Account(Base):
    """A person who may log in."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """16 hexadecimal digits: what the audit record calls the person by."""
    name: Mapped[str] = mapped_column(String(64), unique=True)
    """What the person logs in with, in lower case."""
    full_name: Mapped[str] = mapped_column("full_name_sealed", SealedText("accounts.full_name"))
    institution_id: Mapped[str | None] = mapped_column(ForeignKey("institutions.id"))
    roles: Mapped[list[str]] = mapped_column(JSON)
    password_hash: Mapped[str] = mapped_column(String(200))
    """argon2id in the PHC string format, which names its own parameters."""
    must_change_password: Mapped[bool]
    """Somebody else chose the password: nothing else can be done before it is changed."""
    totp_secret: Mapped[str | None] = mapped_column("totp_sealed", SealedText("accounts.totp"))
    """Secret of the second factor."""
    totp_confirmed: Mapped[bool]
    """A first code was given; from then on every login needs one."""
    totp_last_step: Mapped[int]
    """Time step of the last code that was accepted: none is accepted twice (RFC 6238, 5.2)."""
    failures: Mapped[int]
    """Failed logins since the last one that succeeded."""
    locked_until: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class BrowserSession(Base):
    """A browser in which somebody is logged in; its secret itself is not kept."""

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the cookie's value, hexadecimal."""
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    """Last use, to within a minute."""
    expires_at: Mapped[datetime]
