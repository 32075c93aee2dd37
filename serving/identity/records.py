"""The records of identity."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from serving.privacy.sealed_columns import SealedText
from serving.records.base import Base


class Tier(StrEnum):
    """Level of an institution in tiered diagnosis and treatment (分级诊疗)."""

    PRIMARY = "primary"
    """Village clinic, township or community health centre (基层)."""
    SECONDARY = "secondary"
    """County hospital (二级)."""
    TERTIARY = "tertiary"
    """Regional hospital (三级)."""


class Institution(Base):
    """A clinic or hospital."""

    __tablename__ = "institutions"
    __table_args__ = (CheckConstraint("tier IN ('primary','secondary','tertiary')", "tier"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Short name chosen by the administrator: lower-case letters, digits, hyphens."""
    name: Mapped[str] = mapped_column(String(200))
    name_zh: Mapped[str] = mapped_column(String(200))
    tier: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]


class ReferralPath(Base):
    """That one institution refers patients to another."""

    __tablename__ = "referral_paths"

    from_id: Mapped[str] = mapped_column(ForeignKey("institutions.id"), primary_key=True)
    to_id: Mapped[str] = mapped_column(ForeignKey("institutions.id"), primary_key=True)


class ApiKey(Base):
    """A credential of a program; the secret itself is not kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    label: Mapped[str] = mapped_column("label_sealed", SealedText("api_keys.label"))
    """What it is for, in the administrator's words."""
    institution_id: Mapped[str | None] = mapped_column(ForeignKey("institutions.id"))
    roles: Mapped[list[str]] = mapped_column(JSON)
    scopes: Mapped[list[str] | None] = mapped_column(JSON)
    """Actions it is limited to; NULL for all that its roles may do."""
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
