"""Where it is recorded what is to be fetched."""

from enum import StrEnum

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text

from serving.archive.tables import METADATA


class FetchState(StrEnum):
    """Where the fetching of one study stands."""

    QUEUED = "queued"
    """To be fetched, or to be tried again after a pause."""
    DONE = "done"
    """Everything that the PACS listed is here."""
    CANCELLED = "cancelled"
    """Somebody did not want it any more; what had come by then is here."""
    FAILED = "failed"
    """The PACS refused, does not have it, or was away for too long."""


FETCHES = Table(
    "fetches",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("institution", String(64), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("listed", Integer),
    Column("here", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("enqueued_attempt", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
"""One row a study that was asked for. `listed` is how many instances the PACS has of it, NULL until
it was asked, `here` how many of these are in the archive; `attempt` as for jobs."""
Index("fetches_by_state", FETCHES.c.state)
