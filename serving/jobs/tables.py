"""Where jobs, pre-reads and deliveries are recorded."""

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from serving.archive.tables import METADATA, STUDIES


class JobState(StrEnum):
    """Where the job of a study stands."""

    QUEUED = "queued"
    """It is to be read; a worker takes it by priority."""
    RUNNING = "running"
    """A worker reads it, or will go on where a worker was killed."""
    DONE = "done"
    """It was read, and the results are recorded; each delivery has a state of its own."""
    FAILED = "failed"
    """It could not be read, for a reason that trying again does not change, or not in time. On the
    dead-letter list until somebody has it retried."""
    UNROUTED = "unrouted"
    """No rule fits any series; nothing runs."""
    SUPERSEDED = "superseded"
    """More of the study arrived before it was read; the job of the next version reads all."""


class DeliveryState(StrEnum):
    """Where the delivery of one pre-read to one destination stands."""

    QUEUED = "queued"
    """To be sent, or to be sent again after a pause."""
    DONE = "done"
    """The destination has confirmed every object."""
    FAILED = "failed"
    """The destination refused, or was away for too long. On the dead-letter list."""


JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("study_id", Integer, ForeignKey(STUDIES.c.id, ondelete="CASCADE"), nullable=False),
    Column("institution", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("last_instance_id", Integer, nullable=False),
    Column("plan", Text, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("enqueued_attempt", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("study_id", "version"),
)
"""One row for each time that a study was complete. `plan` is what the rules chose, as JSON;
`attempt` counts how often it was queued, `enqueued_attempt` which of these DBOS has."""
Index("jobs_by_state", JOBS.c.state)

PRE_READS = Table(
    "pre_reads",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, ForeignKey(STUDIES.c.id, ondelete="CASCADE"), nullable=False),
    Column(
        "job_id", String(32), ForeignKey(JOBS.c.id, ondelete="CASCADE"), nullable=False, unique=True
    ),
    Column("version", Integer, nullable=False),
    Column("previous_id", Integer, ForeignKey("pre_reads.id", ondelete="SET NULL")),
    Column("is_current", Boolean, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("answers", String(71), nullable=False),
    Column("results", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)
"""One row a version of a study's pre-read. `answers` is the digest of the answers as JSON in the
object store, `results` the DICOM objects (kind, UIDs, digest) in the order of delivery."""
Index(
    "pre_reads_one_current",
    PRE_READS.c.study_id,
    unique=True,
    sqlite_where=text("is_current"),
    postgresql_where=text("is_current"),
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column(
        "job_id", String(32), ForeignKey(JOBS.c.id, ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("enqueued_attempt", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("outgoing", Text),
    UniqueConstraint("job_id", "destination"),
)
"""One row a pre-read and destination. `outgoing` says, where the destination is outside of the
institution, which de-identified objects were made for it (UID, pseudonym, digest)."""
Index("deliveries_by_state", DELIVERIES.c.state)

EXECUTORS = Table(
    "executors",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("beat_at", Float, nullable=False),
)
"""Workers that live: who has not given a sign for too long has left its jobs to the others."""
