"""One try to deliver a pre-read's objects to one destination, and what follows from it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, select

from serving.archive import Archive
from serving.jobs.planning import Plan
from serving.jobs.reading import find_job
from serving.jobs.tables import DELIVERIES, PRE_READS, DeliveryState

GIVE_UP_AFTER_S = 24 * 3600.0
"""How long a destination may be away, where its entry says nothing else."""
NOT_IN_NODE_FILE = (
    "The destination is not in node.yaml; put it back, and this is sent after the next start."
)
"""Why nothing is sent to a destination that was taken out; what has this reason waits for it."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0


class Sender(Protocol):
    """Sends whole DICOM files to one destination.

    Sending the same objects again must be harmless: a kill between the destination's confirmation
    and our record of it makes that happen.
    """

    def send(self, files: Sequence[bytes]) -> None:
        """Send all of them, in order; return once the destination has confirmed each.

        Raises:
            DeliveryError: it did not; `can_heal` says whether trying again may help.
        """


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try ended."""

    done: bool
    can_heal: bool = True
    reason: str = ""


def pause_s(tries: int) -> float:
    """Return the seconds before the next try, after `tries` of them failed: 1, 2, 4 ... 300."""
    return float(min(_FIRST_PAUSE_S * 2 ** min(tries - 1, 20), _LONGEST_PAUSE_S))


def give_up_after_s(entry: Mapping[str, Any]) -> float:
    """Return how long the pauses between tries may be together, for this entry."""
    return float(entry.get("give_up_after_s", GIVE_UP_AFTER_S))


def plan_deliveries(connection: Connection, job_id: str, now: float) -> None:
    """Add a row for each destination of a job that has none yet."""
    plan = Plan.from_json(find_job(connection, job_id).plan)
    known = set(
        connection.execute(
            select(DELIVERIES.c.destination).where(DELIVERIES.c.job_id == job_id)
        ).scalars()
    )
    for destination in plan.destinations:
        if destination not in known:
            connection.execute(
                DELIVERIES.insert().values(
                    id=f"{job_id}-to-{destination}",
                    job_id=job_id,
                    destination=destination,
                    state=DeliveryState.QUEUED.value,
                    reason="",
                    tries=0,
                    attempt=1,
                    enqueued_attempt=0,
                    created_at=now,
                    updated_at=now,
                )
            )


def queue_returned(connection: Connection, destinations: Iterable[str], now: float) -> int:
    """Queue anew what was not sent because its destination was not there; return how much."""
    found = connection.execute(
        DELIVERIES.update()
        .where(
            DELIVERIES.c.state == DeliveryState.FAILED.value,
            DELIVERIES.c.reason == NOT_IN_NODE_FILE,
            DELIVERIES.c.destination.in_(tuple(destinations)),
        )
        .values(
            state=DeliveryState.QUEUED.value,
            attempt=DELIVERIES.c.attempt + 1,
            reason="",
            updated_at=now,
        )
    )
    return found.rowcount


def files_of(archive: Archive, job_id: str, destination: str) -> list[bytes]:
    """Return the files that `destination` gets of a job's results, in the order of delivery."""
    with archive.engine.connect() as connection:
        plan = Plan.from_json(find_job(connection, job_id).plan)
        results = json.loads(
            connection.execute(
                select(PRE_READS.c.results).where(PRE_READS.c.job_id == job_id)
            ).scalar_one()
        )
    models = {
        each.model.partition("@")[0] for each in plan.readings if destination in each.destinations
    }
    return [archive.open(each["digest"]) for each in results if each["model"] in models]


def note_try(connection: Connection, delivery_id: str, tried: Tried, now: float) -> None:
    """Record how a try ended."""
    values: dict[str, Any] = {
        "tries": DELIVERIES.c.tries + 1,
        "reason": tried.reason,
        "updated_at": now,
    }
    if tried.done:
        values |= {"state": DeliveryState.DONE.value, "reason": ""}
    elif not tried.can_heal:
        values["state"] = DeliveryState.FAILED.value
    connection.execute(DELIVERIES.update().where(DELIVERIES.c.id == delivery_id).values(values))
