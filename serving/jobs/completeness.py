"""When a study is complete, and what happens then, in one transaction.

The expected count where it is known, quiet time otherwise and where more came than was expected.
The usual race, an instance that arrives while its study is being closed, is decided by the
database: the study is closed only if it is as it was when it was looked at. What arrives later
opens it anew, and the next version of the pre-read replaces this one.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from serving.archive.tables import INSTANCES, SERIES, STUDIES, StudyState
from serving.fetching.orders import was_urgent
from serving.jobs.planning import Plan, make_plan
from serving.jobs.tables import JOBS, JobState
from serving.privacy import Keyring
from serving.routing import Node, Source
from serving.worklist.job_items import report_job

_LONGEST_WAIT = 10.0
"""Times the quiet time that is waited for instances that were announced and do not come."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A study that was found complete."""

    job_id: str
    source: str
    study_id: int
    is_routed: bool


def open_studies(connection: Connection) -> list[Row[Any]]:
    """Return the studies that instances come in for, oldest first."""
    found = connection.execute(
        select(STUDIES)
        .where(STUDIES.c.state == StudyState.RECEIVING.value)
        .order_by(STUDIES.c.last_received_at)
    )
    return list(found)


class QuietTimes:
    """How long nothing has come of each open study, by a clock that nobody sets.

    The records say when the last instance came by the clock on the wall. One that is put forward by
    an hour would end every study that is being sent, one that is put back would keep all waiting.
    So it is counted from when a study was first found as it is; after a start, from then.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._found: dict[int, tuple[tuple[Any, ...] | None, float]] = {}

    def of(self, studies: Sequence[Row[Any]]) -> list[float]:
        """Return the seconds for each of the open studies; others are forgotten."""
        now = self._steady()
        found: dict[int, tuple[tuple[Any, ...] | None, float]] = {}
        for study in studies:
            as_it_is = (study.instances, study.version, study.last_received_at)
            before = self._found.get(study.id, (None, now))
            found[study.id] = before if before[0] == as_it_is else (as_it_is, now)
        self._found = found
        return [now - found[study.id][1] for study in studies]


def is_complete(study: Row[Any], source: Source, quiet_s: float) -> bool:
    """Whether everything of a study of `source` is here, as far as can be known."""
    expected = study.expected or source.expected_instances
    if expected is None or study.instances > expected:
        return bool(quiet_s >= source.quiet_time_s)
    if study.instances == expected:
        return True
    return bool(quiet_s >= source.quiet_time_s * _LONGEST_WAIT)


def close_study(
    connection: Connection,
    keyring: Keyring,
    node: Node,
    study: Row[Any],
    now: float,
    tell: Callable[[Closed], None] = lambda closed: None,
) -> Closed | None:
    """Close a study and queue its job; None if more arrived since `study` was read.

    It is told of before it is committed: a kill at any moment leaves the study open, to be closed
    and told of again, and never closed and not told of. Where `tell` raises, it stays open.
    """
    version = study.version + 1
    changed = connection.execute(
        update(STUDIES)
        .where(
            STUDIES.c.id == study.id,
            STUDIES.c.state == StudyState.RECEIVING.value,
            STUDIES.c.instances == study.instances,
            STUDIES.c.version == study.version,
        )
        .values(state=StudyState.COMPLETE.value, version=version)
    )
    if changed.rowcount != 1:
        return None
    plan = make_plan(connection, keyring, node, study.id)
    # Numbers of erased studies are given to others, whose jobs must not be taken for theirs.
    job_id = f"{study.id}-{version}-{secrets.token_hex(4)}"
    reason = f"More of the study came before it was read; job {job_id} reads all of it."
    superseded = connection.execute(
        update(JOBS)
        .where(JOBS.c.study_id == study.id, JOBS.c.state == JobState.QUEUED.value)
        .values(state=JobState.SUPERSEDED.value, reason=reason, updated_at=now)
        .returning(JOBS.c.id)
    )
    _queue(connection, study, plan, job_id, now)
    for changed_id in (*superseded.scalars(), job_id):
        report_job(connection, keyring, changed_id)
    closed = Closed(job_id, study.source, study.id, bool(plan.readings))
    tell(closed)
    return closed


def _queue(connection: Connection, study: Row[Any], plan: Plan, job_id: str, now: float) -> None:
    state = JobState.QUEUED if plan.readings else JobState.UNROUTED
    connection.execute(
        JOBS.insert().values(
            id=job_id,
            study_id=study.id,
            institution=study.institution,
            source=study.source,
            version=study.version + 1,
            last_instance_id=_last_instance(connection, study.id),
            plan=plan.to_json(),
            urgent=plan.urgent or was_urgent(connection, study.institution, study.study_uid, now),
            state=state.value,
            reason="" if plan.readings else " | ".join(plan.why_not),
            attempt=1,
            enqueued_attempt=0,
            created_at=now,
            updated_at=now,
        )
    )


def _last_instance(connection: Connection, study_id: int) -> int:
    found = connection.execute(
        select(func.max(INSTANCES.c.id))
        .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
        .where(SERIES.c.study_id == study_id)
    )
    return int(found.scalar_one())
