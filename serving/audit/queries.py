"""Reading events out of the record."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from serving.audit.events import AuditEvent, event_from, utc_text
from serving.audit.tables import EVENTS


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which events are wanted; what is `None` does not matter."""

    patient: str | None = None
    """Pseudonym."""
    since: datetime | None = None
    """At or after this moment."""
    until: datetime | None = None
    """Before this moment."""


def find_events(connection: Connection, wanted: Criteria) -> Iterator[AuditEvent]:
    """Yield the events wanted in the order of their time; of lanes side by side, in lane order."""
    query = select(EVENTS.c.payload).order_by(
        EVENTS.c.occurred_at, EVENTS.c.lane, EVENTS.c.sequence
    )
    if wanted.patient is not None:
        query = query.where(EVENTS.c.patient == wanted.patient)
    if wanted.since is not None:
        query = query.where(EVENTS.c.occurred_at >= utc_text(wanted.since))
    if wanted.until is not None:
        query = query.where(EVENTS.c.occurred_at < utc_text(wanted.until))
    for payload in connection.execute(query.execution_options(yield_per=1000)).scalars():
        yield event_from(payload.encode())
