"""The records of consent and of legal holds; patients are pseudonyms in them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from serving.privacy.sealed_columns import SealedText
from serving.records.base import Base


class Consent(Base):
    """What a patient agreed to, and until when."""

    __tablename__ = "consents"
    __table_args__ = (
        CheckConstraint("purpose IN ('care','sharing','research')", "purpose"),
        Index("ix_consents_lookup", "patient", "owner", "purpose"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    patient: Mapped[str] = mapped_column(String(28))
    owner: Mapped[str] = mapped_column(String(64))
    """Institution whose records it is about."""
    purpose: Mapped[str] = mapped_column(String(16))
    recipient: Mapped[str | None] = mapped_column(String(64))
    """Institution that they may be shared with; NULL for other purposes, which name none."""
    evidence: Mapped[str | None] = mapped_column("evidence_sealed", SealedText("consents.evidence"))
    """Where the signed form is kept; NULL where an older version recorded none."""
    given_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    recorded_by: Mapped[str] = mapped_column(String(200))
    withdrawn_by: Mapped[str | None] = mapped_column(String(200))


class LegalHold(Base):
    """That nothing of a patient may be erased or pruned, whoever asks."""

    __tablename__ = "legal_holds"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    patient: Mapped[str] = mapped_column(String(28), index=True)
    reason: Mapped[str] = mapped_column(String(64))
    """Machine name, such as `litigation` or a file number; never words about the patient."""
    placed_by: Mapped[str] = mapped_column(String(200))
    placed_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]
