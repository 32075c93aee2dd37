"""Work items in the records: created, claimed, updated, ended, searched; who watches is told."""

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import chain, islice
from typing import Any

from sqlalchemy import Connection, insert, select, update

from serving.archive.entries import sealed, text_of, unsealed
from serving.archive.header import Attributes
from serving.privacy import Keyring
from serving.problems import Problem
from serving.worklist.job_items import (
    find_job_item,
    is_job_item,
    items_to_watch,
    jobs_as_items,
)
from serving.worklist.reports import (
    FILTERED,
    GLOBAL,
    READINESS,
    READY,
    SOP_INSTANCE,
    STATE,
    Report,
    assignment_reports,
    cancel_report,
    changes_of,
    state_report,
)
from serving.worklist.states import Held, State, require_change, require_claim
from serving.worklist.subscriptions import Subscriptions, Wanted, fits
from serving.worklist.tables import WORKITEMS

TRANSACTION = "00081195"
MOST = 1000
"""Work items in one answer to a search."""
_ENDED = (State.COMPLETED, State.CANCELED)


class Worklist:
    """The work items of one institution, on one connection."""

    def __init__(self, connection: Connection, keyring: Keyring, institution: str) -> None:
        self._connection = connection
        self._keyring = keyring
        self._institution = institution
        self._subscriptions = Subscriptions(connection, keyring, institution)

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
        if uid in (GLOBAL, FILTERED) or self._find(uid) is not None:
            raise Problem(HTTPStatus.CONFLICT, "There is a work item with this UID already.")
        made = attributes if text_of(attributes, READINESS) else attributes | {READINESS: READY}
        self._connection.execute(
            insert(WORKITEMS).values(
                institution=self._institution,
                uid=uid,
                state=State.SCHEDULED.value,
                transaction_uid="",
                attributes=self._sealed(made),
                updated_at=time.time(),
            )
        )
        item = _shown(uid, State.SCHEDULED, made)
        reports = [state_report(uid, item), *assignment_reports(uid, item)]
        self._subscriptions.created(uid, item, reports)

    def get(self, uid: str, web_base: str) -> Attributes:
        """Return a work item without its Transaction UID; `web_base` is where DICOMweb is reached.

        Raises:
            Problem: 404, there is none.
        """
        row = self._find(uid)
        if row is not None:
            return self._told(row)
        ours = find_job_item(self._connection, self._institution, uid, web_base)
        return ours or self._told(self._require(uid))

    def attributes_of(self, uid: str) -> Attributes:
        """Return what a work item that somebody made says; nothing where there is none."""
        row = self._find(uid)
        return {} if row is None else self._attributes(row)

    def change_state(self, uid: str, wanted: State, transaction_uid: str) -> None:
        """Claim, complete or cancel a work item.

        Raises:
            Problem: 400, 404, 409.
        """
        row = self._require(uid, to_change=True)
        require_change(_held(row), wanted, transaction_uid)
        self._connection.execute(
            update(WORKITEMS)
            .where(WORKITEMS.c.id == row.id)
            .values(state=wanted.value, transaction_uid=transaction_uid, updated_at=time.time())
        )
        self._tell(uid, [state_report(uid, _shown(uid, wanted, self._attributes(row)))])

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
        row = self._require(uid, to_change=True)
        require_claim(_held(row), transaction_uid)
        if State(row.state) in _ENDED:
            raise Problem(HTTPStatus.CONFLICT, f"The work item is {row.state} already.")
        known = self._attributes(row)
        changed = known | attributes
        self._connection.execute(
            update(WORKITEMS)
            .where(WORKITEMS.c.id == row.id)
            .values(attributes=self._sealed(changed), updated_at=time.time())
        )
        before, after = (_shown(uid, State(row.state), each) for each in (known, changed))
        self._tell(uid, changes_of(uid, before, after))

    def ask_to_cancel(self, uid: str, asked: Attributes, requesting_ae: str) -> None:
        """Cancel what nobody has claimed; tell whoever has claimed it otherwise.

        Raises:
            Problem: 404; 409, it has ended, or it is a job of this node.
        """
        row = self._find(uid, to_change=True)
        if row is None and is_job_item(self._connection, self._institution, uid):
            raise Problem(
                HTTPStatus.CONFLICT, "The work item is a job of this node, which carries it out."
            )
        row = row or self._require(uid)
        if State(row.state) in _ENDED:
            raise Problem(HTTPStatus.CONFLICT, f"The work item is {row.state} already.")
        reports = [cancel_report(uid, asked, requesting_ae)]
        if State(row.state) is State.SCHEDULED:
            self._connection.execute(
                update(WORKITEMS)
                .where(WORKITEMS.c.id == row.id)
                .values(state=State.CANCELED.value, updated_at=time.time())
            )
            known = self._attributes(row)
            # The way there is through IN PROGRESS (PS3.4 CC.2.2.3).
            for state in (State.IN_PROGRESS, State.CANCELED):
                reports.append(state_report(uid, _shown(uid, state, known)))
        self._tell(uid, reports)

    def search(
        self, wanted: Mapping[str, str], limit: int = MOST, offset: int = 0
    ) -> list[Attributes]:
        """Return the work items whose attributes have the `wanted` values: those that people made,
        then our jobs, the newest first. At most `limit` of them, after the first `offset`.
        """
        jobs = jobs_as_items(self._connection, self._institution, wanted)
        everything = chain(self._made().values(), (item for _, item in jobs))
        found = (item for item in everything if fits(item, wanted))
        return list(islice(found, offset, offset + limit))

    def subscribe(
        self, uid: str, subscriber: str, wanted: Wanted | None = None, *, locked: bool
    ) -> None:
        """Have `subscriber` told of a work item, of all (`GLOBAL`), or of those that are `wanted`
        (`FILTERED`).

        Raises:
            Problem: 404, there is no such work item; 409, there are too many subscribers.
        """
        if uid in (GLOBAL, FILTERED):
            items = self._made() | items_to_watch(self._connection, self._institution)
            self._subscriptions.subscribe_globally(subscriber, items, wanted, locked=locked)
        else:
            report = state_report(uid, self.get(uid, ""))
            self._subscriptions.subscribe(subscriber, report, locked=locked)

    def unsubscribe(self, uid: str, subscriber: str) -> None:
        """Have `subscriber` told no more of a work item, or of anything."""
        everything = uid in (GLOBAL, FILTERED)
        self._subscriptions.unsubscribe(subscriber, None if everything else uid)

    def suspend(self, subscriber: str) -> None:
        """Have `subscriber` told of no work item that is created from now on."""
        self._subscriptions.suspend(subscriber)

    def _tell(self, uid: str, reports: Sequence[Report]) -> None:
        self._subscriptions.tell(uid, reports)

    def _made(self) -> dict[str, Attributes]:
        """Return the work items that people made."""
        rows = self._connection.execute(
            select(WORKITEMS)
            .where(WORKITEMS.c.institution == self._institution)
            .order_by(WORKITEMS.c.id)
        )
        return {row.uid: self._told(row) for row in rows}

    def _find(self, uid: str, *, to_change: bool = False) -> Any:
        found = select(WORKITEMS).where(
            WORKITEMS.c.institution == self._institution, WORKITEMS.c.uid == uid
        )
        # Two may want to change it at once: the second sees what the first has made of it. SQLite
        # has one writer at a time, and no words for this.
        return self._connection.execute(
            found.with_for_update() if to_change else found
        ).one_or_none()

    def _require(self, uid: str, *, to_change: bool = False) -> Any:
        row = self._find(uid, to_change=to_change)
        if row is None:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no work item with this UID to work on.")
        return row

    def _attributes(self, row: Any) -> Attributes:
        return unsealed(self._keyring, row.attributes, WORKITEMS)

    def _told(self, row: Any) -> Attributes:
        return _shown(row.uid, State(row.state), self._attributes(row))

    def _sealed(self, attributes: Attributes) -> str:
        return sealed(self._keyring, attributes, WORKITEMS.name)


def _held(row: Any) -> Held:
    return Held(State(row.state), row.transaction_uid)


def _shown(uid: str, state: State, attributes: Attributes) -> Attributes:
    """Return a work item as others see it."""
    found = attributes | {
        SOP_INSTANCE: {"vr": "UI", "Value": [uid]},
        STATE: {"vr": "CS", "Value": [state.value]},
    }
    return dict(sorted(found.items()))
