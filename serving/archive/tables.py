"""Where the index of received instances lies.

Identifying attributes are sealed (`serving.privacy`); what has to be searched in the database
itself is a blind index, a date, or a UID, which names nobody.
"""

from enum import StrEnum

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from serving.records.base import Base

METADATA = Base.metadata


class StudyState(StrEnum):
    """Where a study stands on its way to a pre-read."""

    RECEIVING = "receiving"
    """Instances come in; it is not known yet whether all of them are here."""
    COMPLETE = "complete"
    """Everything is here; the rules have been asked and the job, if any, is queued."""


STUDIES = Table(
    "archive_studies",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("institution", String(64), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("study_date", String(8), nullable=False),
    Column("patient_index", String(43), nullable=False),
    Column("accession_index", String(43), nullable=False),
    Column("attributes", Text, nullable=False),
    Column("source", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("expected", Integer),
    Column("first_received_at", Float, nullable=False),
    Column("last_received_at", Float, nullable=False),
    Column("instances", Integer, nullable=False),
    UniqueConstraint("institution", "study_uid"),
)
"""One row a study of an institution. `version` counts how often it was complete: the pre-reads of
version 2 replace those of version 1. Times are seconds of the epoch, UTC."""
Index("archive_studies_by_state", STUDIES.c.state, STUDIES.c.last_received_at)
Index("archive_studies_by_date", STUDIES.c.institution, STUDIES.c.study_date)
Index("archive_studies_by_patient", STUDIES.c.institution, STUDIES.c.patient_index)

EXPECTED = Table(
    "archive_expected",
    METADATA,
    Column("institution", String(64), primary_key=True),
    Column("study_uid", String(64), primary_key=True),
    Column("instances", Integer, nullable=False),
)
"""How many instances a study is known to have, noted before the first of them is here."""

SERIES = Table(
    "archive_series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, ForeignKey(STUDIES.c.id, ondelete="CASCADE"), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("attributes", Text, nullable=False),
    UniqueConstraint("study_id", "series_uid"),
)

INSTANCES = Table(
    "archive_instances",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("institution", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column(
        "series_id",
        Integer,
        ForeignKey(SERIES.c.id, ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("size", Integer, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("source", String(64), nullable=False),
    UniqueConstraint("institution", "sop_instance_uid"),
)
"""One row an instance; `digest` is where the object store has it."""

QUARANTINE = Table(
    "archive_quarantine",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("institution", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("told", Text, nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("size", Integer, nullable=False),
    Column("received_at", Float, nullable=False),
    UniqueConstraint("institution", "digest", "reason"),
)
"""What was sent and is not part of the archive, with the reason that the sender was told."""
