"""The node's own jobs as work items, which it has claimed itself; others only watch them."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, select

from serving.archive.header import Attributes
from serving.archive.tables import STUDIES
from serving.jobs.tables import JOBS, JobState
from serving.privacy import Keyring
from serving.worklist.reports import READINESS, READY, SOP_INSTANCE, STATE, UPS_PUSH, state_report
from serving.worklist.states import State
from serving.worklist.subscriptions import Subscriptions

_OURS = uuid.UUID("0b1f5c8e-2a47-4a3e-9d55-1d6f0e3c9a10")
_STATE_OF_JOB: Mapping[str, State] = {
    JobState.QUEUED.value: State.SCHEDULED,
    JobState.RUNNING.value: State.IN_PROGRESS,
    JobState.DONE.value: State.COMPLETED,
}
_PRIORITY, _LABEL, _STUDY = "00741200", "00741204", "0020000D"
MOST_JOBS = 1000
"""The newest; older ones are in `zhuzhen jobs list`."""


def jobs_as_items(connection: Connection, institution: str) -> dict[str, Attributes]:
    """Return the institution's jobs as work items by UID, the newest first."""
    rows = connection.execute(
        _jobs()
        .where(
            JOBS.c.institution == institution,
            JOBS.c.state.not_in((JobState.UNROUTED.value, JobState.SUPERSEDED.value)),
        )
        .order_by(JOBS.c.created_at.desc())
        .limit(MOST_JOBS)
    )
    return dict(_item(row) for row in rows)


def report_job(connection: Connection, keyring: Keyring, job_id: str) -> None:
    """Tell subscribers of a job that was just queued, or whose state has just changed.

    Called in the transaction that changes the job, so that there is no report without its change,
    nor a change without its report.
    """
    row = connection.execute(_jobs().where(JOBS.c.id == job_id)).one()
    if row.state == JobState.UNROUTED.value:
        return
    uid, item = _item(row)
    subscriptions = Subscriptions(connection, keyring, row.institution)
    if row.state == JobState.QUEUED.value:
        subscriptions.created(uid, item, [state_report(uid, item)])
    else:
        subscriptions.tell(uid, [state_report(uid, item)])


def _jobs() -> Select[Any]:
    return select(JOBS, STUDIES.c.study_uid).join(STUDIES, STUDIES.c.id == JOBS.c.study_id)


def _item(row: Any) -> tuple[str, Attributes]:
    uid = f"2.25.{uuid.uuid5(_OURS, row.id).int}"
    state = _STATE_OF_JOB.get(row.state, State.CANCELED)
    return uid, {
        "00080016": {"vr": "UI", "Value": [UPS_PUSH]},
        SOP_INSTANCE: {"vr": "UI", "Value": [uid]},
        _STUDY: {"vr": "UI", "Value": [row.study_uid]},
        READINESS: READY,
        STATE: {"vr": "CS", "Value": [state.value]},
        _PRIORITY: {"vr": "CS", "Value": ["HIGH" if row.urgent else "MEDIUM"]},
        _LABEL: {"vr": "LO", "Value": [f"Pre-read, job {row.id}"]},
    }
