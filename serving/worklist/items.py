"""Work items in the records: created, claimed, updated, ended, searched, reported."""

import json
import time
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from serving.archive.entries import insert_into, sealed, text_of, unsealed
from serving.archive.header import Attributes
from serving.archive.tables import STUDIES
from serving.jobs.tables import JOBS, JobState
from serving.privacy import Keyring
from serving.problems import Problem
from serving.worklist.states import Held, State, require_change, require_claim
from serving.worklist.tables import EVENTS, SUBSCRIPTIONS, WORKITEMS

STATE, TRANSACTION, SOP_INSTANCE = "00741000", "00081195", "00080018"
LABEL, PRIORITY, STUDY = "00741204", "00741200", "0020000D"
GLOBAL = "1.2.840.10008.5.1.4.34.5"
"""UPS Filtered/Global Subscription SOP Instance (PS3.6 annex A): all work items."""
_OURS = uuid.UUID("0b1f5c8e-2a47-4a3e-9d55-1d6f0e3c9a10")
_STATE_OF_JOB: Mapping[str, State] = {
    JobState.QUEUED.value: State.SCHEDULED,
    JobState.RUNNING.value: State.IN_PROGRESS,
    JobState.DONE.value: State.COMPLETED,
}
_MOST = 1000


class Worklist:
    """The work items of one institution, on one connection."""

    def __init__(self, connection: Connection, keyring: Keyring, institution: str) -> None:
        self._connection = connection
        self._keyring = keyring
        self._institution = institution

    def create(self, uid: str, attributes: Attributes) -> None:
        """Add a work item, which must be SCHEDULED.

        Raises:
            Problem: 400, it has another state or a Transaction UID; 409, the UID is taken.
        """
        if text_of(attributes, STATE) not in ("", State.SCHEDULED) or text_of(
            attributes, TRANSACTION
        ):
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "A new work item is SCHEDULED and has no Transaction UID (PS3.4 CC.2.5).",
            )
        if self._find(uid) is not None:
            raise Problem(HTTPStatus.CONFLICT, "There is a work item with this UID already.")
        self._connection.execute(
            insert(WORKITEMS).values(
                institution=self._institution,
                uid=uid,
                state=State.SCHEDULED.value,
                transaction_uid="",
                attributes=self._sealed(attributes),
                updated_at=time.time(),
            )
        )
        self._report(uid, State.SCHEDULED)

    def get(self, uid: str) -> Attributes:
        """Return a work item without its Transaction UID.

        Raises:
            Problem: 404, there is none.
        """
        for ours, attributes in self._jobs():
            if ours == uid:
                return attributes
        row = self._require(uid)
        return self._told(row)

    def change_state(self, uid: str, wanted: State, transaction_uid: str) -> None:
        """Claim, complete or cancel a work item.

        Raises:
            Problem: 400, 404, 409.
        """
        row = self._require(uid)
        require_change(_held(row), wanted, transaction_uid)
        # Two may claim at once: the database lets one of them.
        changed = self._connection.execute(
            update(WORKITEMS)
            .where(WORKITEMS.c.id == row.id, WORKITEMS.c.state == row.state)
            .values(state=wanted.value, transaction_uid=transaction_uid, updated_at=time.time())
        )
        if changed.rowcount != 1:
            raise Problem(HTTPStatus.CONFLICT, "Somebody else has just claimed the work item.")
        self._report(uid, wanted)

    def amend(self, uid: str, attributes: Attributes, transaction_uid: str) -> None:
        """Change attributes of a work item that is claimed, or that nobody has claimed.

        Raises:
            Problem: 400, the state is among them; 404; 409.
        """
        if {STATE, TRANSACTION, SOP_INSTANCE} & attributes.keys():
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "State, Transaction UID and SOP Instance UID are not changed by an update.",
            )
        row = self._require(uid)
        require_claim(_held(row), transaction_uid)
        if State(row.state) in (State.COMPLETED, State.CANCELED):
            raise Problem(HTTPStatus.CONFLICT, f"The work item is {row.state} already.")
        known = unsealed(self._keyring, row.attributes, WORKITEMS)
        self._connection.execute(
            update(WORKITEMS)
            .where(WORKITEMS.c.id == row.id)
            .values(attributes=self._sealed(known | attributes), updated_at=time.time())
        )

    def ask_to_cancel(self, uid: str) -> None:
        """Cancel what nobody has claimed; tell whoever has claimed it otherwise.

        Raises:
            Problem: 404; 409, it has ended.
        """
        row = self._require(uid)
        state = State(row.state)
        if state in (State.COMPLETED, State.CANCELED):
            raise Problem(HTTPStatus.CONFLICT, f"The work item is {state} already.")
        if state is State.SCHEDULED:
            self._connection.execute(
                update(WORKITEMS)
                .where(WORKITEMS.c.id == row.id)
                .values(state=State.CANCELED.value, updated_at=time.time())
            )
            state = State.CANCELED
        self._report(uid, state, asked_to_cancel=True)

    def search(self, wanted: Mapping[str, str]) -> list[Attributes]:
        """Return the work items whose attributes have the `wanted` values, ours among them."""
        rows = self._connection.execute(
            select(WORKITEMS)
            .where(WORKITEMS.c.institution == self._institution)
            .order_by(WORKITEMS.c.id)
        )
        items = [self._told(row) for row in rows] + [each for _, each in self._jobs()]
        matching = [
            item
            for item in items
            if all(text_of(item, key) == value for key, value in wanted.items())
        ]
        return matching[:_MOST]

    def subscribe(self, uid: str, subscriber: str) -> None:
        """Have `subscriber` told of a work item, or of all."""
        if uid != GLOBAL:
            self._require(uid)
        self._connection.execute(
            insert_into(self._connection, SUBSCRIPTIONS)
            .values(institution=self._institution, subscriber=subscriber, uid=uid)
            .on_conflict_do_nothing()
        )

    def unsubscribe(self, uid: str, subscriber: str) -> None:
        """Have `subscriber` told no more."""
        self._connection.execute(
            delete(SUBSCRIPTIONS).where(
                SUBSCRIPTIONS.c.institution == self._institution,
                SUBSCRIPTIONS.c.subscriber == subscriber,
                SUBSCRIPTIONS.c.uid == uid,
            )
        )

    def fetch_events(self, subscriber: str) -> list[Attributes]:
        """Return the reports that wait for `subscriber`, each once."""
        mine = (EVENTS.c.institution == self._institution, EVENTS.c.subscriber == subscriber)
        rows = self._connection.execute(select(EVENTS).where(*mine).order_by(EVENTS.c.id)).all()
        if rows:
            self._connection.execute(delete(EVENTS).where(*mine, EVENTS.c.id <= rows[-1].id))
        return [json.loads(row.report) for row in rows]

    def _report(self, uid: str, state: State, *, asked_to_cancel: bool = False) -> None:
        report = {
            "00000002": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]},
            "00001000": {"vr": "UI", "Value": [uid]},
            # UPS State Report or UPS Cancel Requested: PS3.4 table CC.2.4-1.
            "00001002": {"vr": "US", "Value": [2 if asked_to_cancel else 1]},
            STATE: {"vr": "CS", "Value": [state.value]},
        }
        subscribers = self._connection.execute(
            select(SUBSCRIPTIONS.c.subscriber)
            .where(
                SUBSCRIPTIONS.c.institution == self._institution,
                SUBSCRIPTIONS.c.uid.in_((uid, GLOBAL)),
            )
            .distinct()
        ).scalars()
        for subscriber in list(subscribers):
            self._connection.execute(
                insert(EVENTS).values(
                    institution=self._institution,
                    subscriber=subscriber,
                    report=json.dumps(report),
                )
            )

    def _find(self, uid: str) -> Any:
        return self._connection.execute(
            select(WORKITEMS).where(
                WORKITEMS.c.institution == self._institution, WORKITEMS.c.uid == uid
            )
        ).one_or_none()

    def _require(self, uid: str) -> Any:
        row = self._find(uid)
        if row is None:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no work item with this UID to work on.")
        return row

    def _told(self, row: Any) -> Attributes:
        found = unsealed(self._keyring, row.attributes, WORKITEMS)
        found[SOP_INSTANCE] = {"vr": "UI", "Value": [row.uid]}
        found[STATE] = {"vr": "CS", "Value": [row.state]}
        return dict(sorted(found.items()))

    def _sealed(self, attributes: Attributes) -> str:
        return sealed(self._keyring, attributes, WORKITEMS.name)

    def _jobs(self) -> list[tuple[str, Attributes]]:
        """Return the node's own jobs as work items that it has claimed itself."""
        rows = self._connection.execute(
            select(JOBS, STUDIES.c.study_uid)
            .join(STUDIES, STUDIES.c.id == JOBS.c.study_id)
            .where(
                JOBS.c.institution == self._institution,
                JOBS.c.state.not_in((JobState.UNROUTED.value, JobState.SUPERSEDED.value)),
            )
            .order_by(JOBS.c.created_at.desc())
            .limit(_MOST)
        )
        return [_of_job(row) for row in rows]


def _held(row: Any) -> Held:
    return Held(State(row.state), row.transaction_uid)


def _of_job(row: Any) -> tuple[str, Attributes]:
    uid = f"2.25.{uuid.uuid5(_OURS, row.id).int}"
    state = _STATE_OF_JOB.get(row.state, State.CANCELED)
    return uid, {
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]},
        SOP_INSTANCE: {"vr": "UI", "Value": [uid]},
        STUDY: {"vr": "UI", "Value": [row.study_uid]},
        STATE: {"vr": "CS", "Value": [state.value]},
        PRIORITY: {"vr": "CS", "Value": ["HIGH" if row.urgent else "MEDIUM"]},
        LABEL: {"vr": "LO", "Value": [f"Pre-read, job {row.id}"]},
    }
