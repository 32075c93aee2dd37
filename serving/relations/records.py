"""The records of referrals and emergency overrides."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from serving.privacy.sealed_columns import SealedText
from serving.records.base import Base


class Referral(Base):
    """One patient's records of one institution, handed to another one for an opinion."""

    __tablename__ = "referrals"
    __table_args__ = (Index("ix_referrals_lookup", "to_id", "patient", "from_id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    patient: Mapped[str] = mapped_column(String(32))
    """Pseudonym."""
    from_id: Mapped[str] = mapped_column(ForeignKey("institutions.id"))
    to_id: Mapped[str] = mapped_column(ForeignKey("institutions.id"))
    opened_by: Mapped[str] = mapped_column(String(200))
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class EmergencyOverride(Base):
    """Somebody broke the glass for one patient: for a short time, with a reason, watched."""

    __tablename__ = "emergency_overrides"
    __table_args__ = (Index("ix_emergency_overrides_lookup", "actor", "patient"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    actor: Mapped[str] = mapped_column(String(200))
    actor_institution: Mapped[str | None] = mapped_column(String(64))
    patient: Mapped[str] = mapped_column(String(32))
    """Pseudonym."""
    reason: Mapped[str] = mapped_column("reason_sealed", SealedText("emergency_overrides.reason"))
    """In the person's own words: they may name the patient."""
    begun_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    reviewed_by: Mapped[str | None] = mapped_column(String(200))
    """Auditor who looked at it afterwards."""
    reviewed_at: Mapped[datetime | None]
