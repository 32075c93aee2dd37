"""The node's own jobs as work items, which it has claimed itself; others only watch them.

A work item that has ended stays as it ended (PS3.4 CC.1.1). A job that is tried anew by hand is
therefore a new one, which names the one it replaces; that one is kept among the work items that
people made.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select

from serving.archive.entries import sealed, unsealed
from serving.archive.header import Attributes
from serving.archive.tables import STUDIES
from serving.jobs.tables import JOBS, JobState
from serving.privacy import Keyring
from serving.worklist.job_information import information_of, moment_of
from serving.worklist.reports import (
    PROGRESS,
    READINESS,
    READY,
    REASON,
    REASON_CODES,
    SOP_INSTANCE,
    STATE,
    UPS_PUSH,
    state_report,
)
from serving.worklist.states import State
from serving.worklist.subscriptions import Subscriptions
from serving.worklist.tables import EVENTS, SUBSCRIPTIONS, WORKITEMS

_OURS = uuid.UUID("0b1f5c8e-2a47-4a3e-9d55-1d6f0e3c9a10")
_STATE_OF_JOB: Mapping[str, State] = {
    JobState.QUEUED.value: State.SCHEDULED,
    JobState.RUNNING.value: State.IN_PROGRESS,
    JobState.DONE.value: State.COMPLETED,
}
_JOB_STATES: Mapping[str, tuple[str, ...]] = {
    State.SCHEDULED: (JobState.QUEUED.value,),
    State.IN_PROGRESS: (JobState.QUEUED.value, JobState.RUNNING.value),
    State.COMPLETED: (JobState.DONE.value,),
    State.CANCELED: (JobState.FAILED.value, JobState.SUPERSEDED.value),
}
"""States in which jobs may be whose work item is in one."""
_WHY_DISCONTINUED: Mapping[str, tuple[str, str]] = {
    JobState.FAILED.value: ("110513", "Discontinued for unspecified reason"),
    JobState.SUPERSEDED.value: ("110528", "Discontinued Procedure Step rescheduled"),
}
"""Codes of DCM in CID 9300, Procedure Discontinuation Reason (PS3.16)."""
_PRIORITY, _LABEL, _STUDY = "00741200", "00741204", "0020000D"
_PATIENT = ("00100010", "00100020", "00100021")
_HIGH = "HIGH"
_CANCELLED_AT = "00404052"
_REPLACED, _REFERENCED_CLASS, _REFERENCED_INSTANCE = "00741224", "00081150", "00081155"
_AT_ONCE = 1000
"""Jobs that are read from the records together."""


def jobs_as_items(
    connection: Connection, institution: str, wanted: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Attributes]]:
    """Yield the institution's jobs as work items with their UIDs, the newest first.

    Of those that do not have the `wanted` values most are left out, not all.
    """
    query = _of_institution(institution).where(*_conditions(wanted or {}))
    for rows in _in_pieces(connection, query):
        replaced = _times_replaced(connection, rows)
        yield from (_item(row, replaced[row.id]) for row in rows)


def items_to_watch(connection: Connection, institution: str) -> dict[str, Attributes]:
    """Return what who subscribes to everything is told of: the newest jobs, and all open ones."""
    newest = dict(islice(jobs_as_items(connection, institution), _AT_ONCE))
    for state in (State.SCHEDULED, State.IN_PROGRESS):
        newest |= jobs_as_items(connection, institution, {STATE: state})
    return newest


def is_job_item(connection: Connection, institution: str, uid: str) -> bool:
    """Whether a work item is a job of the institution's."""
    return _find(connection, institution, uid) is not None


def find_job_item(
    connection: Connection, institution: str, uid: str, web_base: str
) -> Attributes | None:
    """Return a job as a work item, with what it reads and has made; None where it is none.

    `web_base` is where DICOMweb is reached, for the addresses of both.
    """
    found = _find(connection, institution, uid)
    if found is None:
        return None
    row, replaced = found
    item = _item(row, replaced)[1]
    return dict(sorted((item | information_of(connection, row, web_base)).items()))


def _find(connection: Connection, institution: str, uid: str) -> tuple[Row[Any], int] | None:
    """Return a job by the UID of its work item, and how many items it had before that.

    No job can be told from the UID: the UIDs of all have to be made, from the newest on.
    """
    query = _of_institution(institution).with_only_columns(
        JOBS.c.id, JOBS.c.attempt, JOBS.c.institution
    )
    for rows in _in_pieces(connection, query):
        replaced = _times_replaced(connection, rows)
        for row in rows:
            if uid == _uid_of(row.id, replaced[row.id]):
                found = connection.execute(_jobs().where(JOBS.c.id == row.id)).one_or_none()
                return None if found is None else (found, replaced[row.id])
    return None


def _of_institution(institution: str) -> Select[Any]:
    return (
        _jobs()
        .where(JOBS.c.institution == institution, JOBS.c.state != JobState.UNROUTED.value)
        .order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc())
    )


def _in_pieces(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Row[Any]]]:
    """Yield what `query` finds, in pieces. What becomes of a job meanwhile may leave one out."""
    first = 0
    while rows := connection.execute(query.limit(_AT_ONCE).offset(first)).all():
        yield rows
        first += len(rows)


def _conditions(wanted: Mapping[str, str]) -> Iterator[ColumnElement[bool]]:
    """Yield what the database can look for of the wanted values."""
    if STATE in wanted:
        yield JOBS.c.state.in_(_JOB_STATES.get(wanted[STATE], ()))
    if _STUDY in wanted:
        yield STUDIES.c.study_uid == wanted[_STUDY]
    if _PRIORITY in wanted:
        yield JOBS.c.urgent == (wanted[_PRIORITY] == _HIGH)


def report_job(connection: Connection, keyring: Keyring, job_id: str) -> None:
    """Tell subscribers of a job that was just queued, or whose state has just changed.

    Called in the transaction that changes the job, so that there is no report without its change,
    nor a change without its report.
    """
    row = connection.execute(_jobs().where(JOBS.c.id == job_id)).one_or_none()
    if row is None or row.state == JobState.UNROUTED.value:
        # Erased, or never to be done.
        return
    uid, item = _item(row, _times_replaced(connection, [row])[job_id])
    subscriptions = Subscriptions(connection, keyring, row.institution)
    if row.state == JobState.QUEUED.value:
        subscriptions.created(uid, item, [state_report(uid, item)])
    elif row.state == JobState.SUPERSEDED.value and not row.enqueued_attempt:
        # The way there is through IN PROGRESS (PS3.4 CC.2.2.3).
        by_way_of = item | {STATE: {"vr": "CS", "Value": [State.IN_PROGRESS.value]}}
        del by_way_of[PROGRESS]
        subscriptions.tell(uid, [state_report(uid, by_way_of), state_report(uid, item)])
    else:
        subscriptions.tell(uid, [state_report(uid, item)])


def replace_job_item(connection: Connection, keyring: Keyring, job_id: str) -> None:
    """Keep the work item of a job that has failed as it is: the job is to have another.

    Called before the job is queued anew, in the same transaction. Who is subscribed to the work
    item is told of the new one, too.
    """
    row = connection.execute(_jobs().where(JOBS.c.id == job_id)).one()
    times = _times_replaced(connection, [row])[job_id]
    uid, item = _item(row, times)
    # With the patient, so that it is among what there is of one: the study may be erased.
    study = unsealed(keyring, row.study_attributes, STUDIES)
    item |= {key: study[key] for key in _PATIENT if key in study}
    connection.execute(
        insert(WORKITEMS).values(
            institution=row.institution,
            uid=uid,
            state=State.CANCELED.value,
            transaction_uid="",
            attributes=sealed(keyring, item, WORKITEMS.name),
            updated_at=row.updated_at,
        )
    )
    Subscriptions(connection, keyring, row.institution).follow(uid, _uid_of(job_id, times + 1))


def forget_job_items(connection: Connection, studies: Sequence[int]) -> None:
    """Remove who watches, and is to be told of, the jobs of studies that are about to be erased."""
    rows = connection.execute(_jobs().where(JOBS.c.study_id.in_(studies))).all()
    for row in rows:
        times = _times_replaced(connection, [row])[row.id]
        uids = [_uid_of(row.id, number) for number in range(times + 1)]
        for table in (SUBSCRIPTIONS, EVENTS):
            connection.execute(
                delete(table).where(table.c.institution == row.institution, table.c.uid.in_(uids))
            )


def _jobs() -> Select[Any]:
    return select(JOBS, STUDIES.c.study_uid, STUDIES.c.attributes.label("study_attributes")).join(
        STUDIES, STUDIES.c.id == JOBS.c.study_id
    )


def _uid_of(job_id: str, times_replaced: int) -> str:
    name = f"{job_id} {times_replaced}" if times_replaced else job_id
    return f"2.25.{uuid.uuid5(_OURS, name).int}"


def _times_replaced(connection: Connection, rows: Sequence[Row[Any]]) -> dict[str, int]:
    """Return how many work items each job had before that which it has."""
    times = {row.id: 0 for row in rows}
    asked = {_uid_of(row.id, 0): row for row in rows if row.attempt > 1}
    while asked:
        kept = select(WORKITEMS.c.uid).where(
            WORKITEMS.c.uid.in_(asked), WORKITEMS.c.institution == rows[0].institution
        )
        again = [asked[uid] for uid in connection.execute(kept).scalars()]
        for row in again:
            times[row.id] += 1
        asked = {_uid_of(row.id, times[row.id]): row for row in again}
    return times


def _state_of(row: Any) -> State:
    if row.state == JobState.QUEUED.value and row.enqueued_attempt > 0:
        # Who carried it out is gone, and the next to do so is not there yet.
        return State.IN_PROGRESS
    return _STATE_OF_JOB.get(row.state, State.CANCELED)


def _item(row: Any, times_replaced: int) -> tuple[str, Attributes]:
    uid, state = _uid_of(row.id, times_replaced), _state_of(row)
    item: Attributes = {
        "00080016": {"vr": "UI", "Value": [UPS_PUSH]},
        SOP_INSTANCE: {"vr": "UI", "Value": [uid]},
        _STUDY: {"vr": "UI", "Value": [row.study_uid]},
        READINESS: READY,
        STATE: {"vr": "CS", "Value": [state.value]},
        _PRIORITY: {"vr": "CS", "Value": [_HIGH if row.urgent else "MEDIUM"]},
        _LABEL: {"vr": "LO", "Value": [f"Pre-read, job {row.id}"]},
    }
    if state is State.CANCELED:
        item[PROGRESS] = {"vr": "SQ", "Value": [_cancelled(row)]}
    if times_replaced:
        before = {
            _REFERENCED_CLASS: {"vr": "UI", "Value": [UPS_PUSH]},
            _REFERENCED_INSTANCE: {"vr": "UI", "Value": [_uid_of(row.id, times_replaced - 1)]},
        }
        item[_REPLACED] = {"vr": "SQ", "Value": [before]}
    return uid, item


def _cancelled(row: Any) -> Attributes:
    """Return the item of Procedure Step Progress Information that says when and why."""
    code, meaning = _WHY_DISCONTINUED[row.state]
    found: Attributes = {
        _CANCELLED_AT: {"vr": "DT", "Value": [moment_of(row.updated_at)]},
        REASON_CODES: {
            "vr": "SQ",
            "Value": [
                {
                    "00080100": {"vr": "SH", "Value": [code]},
                    "00080102": {"vr": "SH", "Value": ["DCM"]},
                    "00080104": {"vr": "LO", "Value": [meaning]},
                }
            ],
        },
    }
    if row.reason:
        found[REASON] = {"vr": "LT", "Value": [row.reason]}
    return found
