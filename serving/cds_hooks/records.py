"""The cards that were shown and what became of them; nothing in it tells a patient."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from serving.privacy.sealed_columns import SealedText
from serving.records.base import Base


class ShownCard(Base):
    """One card that was answered."""

    __tablename__ = "cds_cards"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """The card's uuid."""
    service: Mapped[str] = mapped_column(String(64))
    score: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    indicator: Mapped[str] = mapped_column(String(16))
    institution_id: Mapped[str | None] = mapped_column(String(64), index=True)
    shown_at: Mapped[datetime] = mapped_column(index=True)


class CardFeedback(Base):
    """What a clinician did with a card (https://cds-hooks.hl7.org/2.0/#feedback)."""

    __tablename__ = "cds_feedback"

    card_id: Mapped[str] = mapped_column(ForeignKey("cds_cards.id"), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16))
    """`accepted` or `overridden`."""
    reason: Mapped[str | None] = mapped_column(String(64))
    """Code of an override reason of ours; NULL for none or another."""
    comment: Mapped[str | None] = mapped_column("sealed_comment", SealedText("cds_feedback"))
    """What was written: it may name a patient."""
    outcome_at: Mapped[datetime]
    received_at: Mapped[datetime]
