"""Reading events out of the record."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select

from serving.audit.events import FETCH, AuditEvent, canonical_json, event_from, utc_text
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


def events_about(connection: Connection, patient: str) -> list[AuditEvent]:
    """Return every event of a patient, and those of fetches that turned out to be of the patient.

    Who has a study fetched by its UID names no patient. The event of what came does, and has the
    fetch's identifier as the order's has, which is looked for in all events.
    """
    found = list(find_events(connection, Criteria(patient)))
    fetches = {each.object_id for each in found if (each.object_id or "").startswith(FETCH)}
    if not fetches:
        return found
    # As the payload has it, name and quotation marks and all: so no other field says it.
    named = [
        canonical_json({"object_id": fetch})[1:-1].decode() for fetch in sorted(fetches, key=str)
    ]
    query = select(EVENTS.c.payload).where(
        EVENTS.c.patient.is_(None),
        or_(*(EVENTS.c.payload.contains(each, autoescape=True) for each in named)),
    )
    found += [event_from(payload.encode()) for payload in connection.execute(query).scalars()]
    return sorted(found, key=lambda event: event.occurred_at)
