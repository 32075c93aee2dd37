"""The jobs as an operator sees them: listed, shown, retried. Needs no DBOS."""

import json
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from models.errors import ZhuzhenError
from serving.archive.tables import STUDIES
from serving.jobs.planning import Plan, make_plan
from serving.jobs.tables import DELIVERIES, JOBS, PRE_READS, DeliveryState, JobState
from serving.privacy import Keyring
from serving.routing import Node
from serving.worklist.job_items import replace_job_item, report_job

_ON_LIST = "dead"
"""What a list of dead letters is asked for by."""


class JobNotFoundError(ZhuzhenError, LookupError):
    """There is no such job."""


class JobStateError(ZhuzhenError, ValueError):
    """A list was asked for by a state that jobs do not have."""


class NotRetriableError(ZhuzhenError, ValueError):
    """The job did not fail, and was routed or cannot be: there is nothing to retry."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job in a list."""

    id: str
    institution: str
    source: str
    version: int
    priority: str
    state: str
    reason: str
    created_at: float
    deliveries: dict[str, str]
    """State by destination."""
    undelivered: dict[str, str]
    """Why not, by destination, where something has been tried and was not taken."""


def list_jobs(engine: Engine, state: str | None = None, limit: int = 100) -> list[JobLine]:
    """Return the newest jobs first; `state` is one of `JobState`, or `dead` for what failed.

    A job is dead if it failed itself or one of its deliveries did.
    """
    query = select(JOBS).order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc()).limit(limit)
    failed = select(DELIVERIES.c.job_id).where(DELIVERIES.c.state == DeliveryState.FAILED.value)
    if state == _ON_LIST:
        query = query.where((JOBS.c.state == JobState.FAILED.value) | JOBS.c.id.in_(failed))
    elif state is not None:
        if state not in tuple(JobState):
            raise JobStateError(
                f"{state!r} is no state of a job; expected {', '.join(JobState)} or {_ON_LIST}."
            )
        query = query.where(JOBS.c.state == state)
    with engine.connect() as connection:
        return [_line(connection, row) for row in connection.execute(query).all()]


def show_job(engine: Engine, job_id: str) -> dict[str, Any]:
    """Return everything about a job that names no patient.

    Raises:
        JobNotFoundError: there is none.
    """
    with engine.connect() as connection:
        row = _find(connection, job_id)
        line = _line(connection, row)
        plan = Plan.from_json(row.plan)
        study = connection.execute(select(STUDIES).where(STUDIES.c.id == row.study_id)).one()
        pre_read = connection.execute(
            select(PRE_READS).where(PRE_READS.c.job_id == job_id)
        ).one_or_none()
        deliveries = connection.execute(
            select(DELIVERIES).where(DELIVERIES.c.job_id == job_id)
        ).all()
    return {
        "id": line.id,
        "study_instance_uid": study.study_uid,
        "institution": line.institution,
        "source": line.source,
        "version": line.version,
        "priority": line.priority,
        "state": line.state,
        "reason": line.reason,
        "attempt": row.attempt,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "rules": [{"rule": each.rule, "model": each.model} for each in plan.readings],
        "results": json.loads(pre_read.results) if pre_read else [],
        "is_current": bool(pre_read and pre_read.is_current),
        "deliveries": [
            {
                "destination": each.destination,
                "state": each.state,
                "tries": each.tries,
                "reason": each.reason,
                "deidentified": json.loads(each.outgoing) if each.outgoing else [],
            }
            for each in deliveries
        ],
    }


def study_of(connection: Connection, job_id: str) -> int:
    """Return the study that a job is about, by its number in the index.

    Raises:
        JobNotFoundError: there is no such job.
    """
    return int(_find(connection, job_id).study_id)


def retry_job(
    connection: Connection, keyring: Keyring, node: Node, job_id: str, now: float | None = None
) -> list[str]:
    """Queue anew what of a job failed, or fits a rule of `node` now; return what that is.

    The worker takes it up by itself. A job that is read anew is a new work item; see
    `serving.worklist.job_items`.

    Raises:
        JobNotFoundError: there is no such job.
        NotRetriableError: nothing of it failed, or no rule fits it.
    """
    moment = time.time() if now is None else now
    job = _find(connection, job_id)
    retried = []
    if job.state == JobState.UNROUTED.value:
        _route_anew(connection, keyring, node, job, moment)
        retried.append(job_id)
    if job.state == JobState.FAILED.value:
        _read_anew(connection, keyring, job_id, moment)
        retried.append(job_id)
    retried += _deliver_anew(connection, job_id, moment)
    if not retried:
        raise NotRetriableError(
            f"Job {job_id} is {job.state} and none of its deliveries failed; only what is on the "
            "dead-letter list (`zhuzhen jobs list --state dead`) or unrouted can be retried."
        )
    return retried


def _route_anew(
    connection: Connection, keyring: Keyring, node: Node, job: Any, moment: float
) -> None:
    newest = connection.execute(
        select(func.max(JOBS.c.version)).where(JOBS.c.study_id == job.study_id)
    ).scalar_one()
    if newest != job.version:
        raise NotRetriableError(
            f"More of the study came after job {job.id}; its version {newest} is the one to retry."
        )
    plan = make_plan(connection, keyring, node, job.study_id)
    if not plan.readings:
        why = " | ".join(plan.why_not)
        raise NotRetriableError(
            f"Still no rule of node.yaml fits job {job.id}: {why}. `zhuzhen route explain` helps "
            "to write one."
        )
    connection.execute(
        JOBS.update()
        .where(JOBS.c.id == job.id)
        .values(
            plan=plan.to_json(),
            urgent=plan.urgent or job.urgent,
            state=JobState.QUEUED.value,
            attempt=JOBS.c.attempt + 1,
            enqueued_attempt=0,
            reason="",
            updated_at=moment,
        )
    )
    report_job(connection, keyring, job.id)


def _read_anew(connection: Connection, keyring: Keyring, job_id: str, moment: float) -> None:
    replace_job_item(connection, keyring, job_id)
    connection.execute(
        JOBS.update()
        .where(JOBS.c.id == job_id)
        .values(
            state=JobState.QUEUED.value,
            attempt=JOBS.c.attempt + 1,
            enqueued_attempt=0,
            reason="",
            updated_at=moment,
        )
    )
    report_job(connection, keyring, job_id)


def _deliver_anew(connection: Connection, job_id: str, moment: float) -> list[str]:
    found = connection.execute(
        DELIVERIES.update()
        .where(DELIVERIES.c.job_id == job_id, DELIVERIES.c.state == DeliveryState.FAILED.value)
        .values(
            state=DeliveryState.QUEUED.value,
            attempt=DELIVERIES.c.attempt + 1,
            created_at=moment,
            updated_at=moment,
        )
        .returning(DELIVERIES.c.id)
    )
    return list(found.scalars())


def _find(connection: Connection, job_id: str) -> Any:
    found = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one_or_none()
    if found is None:
        raise JobNotFoundError(f"There is no job {job_id!r}; `zhuzhen jobs list` has them.")
    return found


def _line(connection: Connection, row: Any) -> JobLine:
    deliveries = connection.execute(select(DELIVERIES).where(DELIVERIES.c.job_id == row.id)).all()
    return JobLine(
        id=row.id,
        institution=row.institution,
        source=row.source,
        version=row.version,
        priority="urgent" if row.urgent else "routine",
        state=row.state,
        reason=row.reason,
        created_at=row.created_at,
        deliveries={each.destination: each.state for each in deliveries},
        undelivered={each.destination: each.reason for each in deliveries if each.reason},
    )
