"""Who is told of which work item: the subscription states of PS3.4 CC.2.3 and their transitions.

A global subscription makes subscriptions to single work items, to those that there are and to each
that is created later; reports go by these alone. Deletion locks are recorded and cost nothing: no
work item is ever deleted, but for the erasure of a person that the law asks for.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from sqlalchemy import Connection, delete, insert, select

from serving.archive.entries import insert_into, sealed, text_of, unsealed
from serving.archive.header import Attributes
from serving.privacy import Keyring
from serving.problems import Problem
from serving.worklist.reports import GLOBAL, EventType, Report, restart_report, state_report
from serving.worklist.tables import CHANNELS, EVENTS, GLOBAL_SUBSCRIPTIONS, SUBSCRIPTIONS

MOST_SUBSCRIBERS = 100
"""Of one institution: each of them gets a copy of every report."""
MOST_WAITING = 10_000
"""Reports that wait for one subscriber; the oldest go first."""
WAITING_S = 7 * 24 * 3600.0
"""For how long a report waits for who does not listen."""

Wanted = Mapping[str, str]
"""Values that attributes must have, by JSON key."""


def fits(item: Attributes, wanted: Wanted) -> bool:
    """Whether the attributes of a work item have the wanted values."""
    return all(text_of(item, key) == value for key, value in wanted.items())


class Subscriptions:
    """The subscriptions of one institution, on one connection."""

    def __init__(self, connection: Connection, keyring: Keyring, institution: str) -> None:
        self._connection = connection
        self._keyring = keyring
        self._institution = institution

    def subscribe(self, subscriber: str, item: Report, *, locked: bool) -> None:
        """Have `subscriber` told of one work item, and at once of its state: `item`."""
        self._admit(subscriber)
        self._add(subscriber, [item.uid], locked=locked, anew=True)
        self.send([subscriber], [item])

    def subscribe_globally(
        self,
        subscriber: str,
        items: Mapping[str, Attributes],
        wanted: Wanted | None = None,
        *,
        locked: bool,
    ) -> None:
        """Have `subscriber` told of `items`, and of every work item to come that is `wanted`.

        With a lock it is told of the state of each at once. A subscriber has one global
        subscription, with matching keys or without; a new one takes the place of that before.
        """
        self._admit(subscriber)
        self.suspend(subscriber)
        self._connection.execute(
            insert(GLOBAL_SUBSCRIPTIONS).values(
                institution=self._institution,
                subscriber=subscriber,
                deletion_lock=locked,
                attributes=self._seal(dict(wanted), GLOBAL_SUBSCRIPTIONS.name) if wanted else None,
            )
        )
        found = {uid: item for uid, item in items.items() if fits(item, wanted or {})}
        self._add(subscriber, list(found), locked=locked, anew=False)
        if locked:
            self.send([subscriber], [state_report(uid, item) for uid, item in found.items()])

    def suspend(self, subscriber: str) -> None:
        """Have `subscriber` told of no further work items; of those it knows, it still is."""
        self._connection.execute(
            delete(GLOBAL_SUBSCRIPTIONS).where(
                GLOBAL_SUBSCRIPTIONS.c.institution == self._institution,
                GLOBAL_SUBSCRIPTIONS.c.subscriber == subscriber,
            )
        )

    def unsubscribe(self, subscriber: str, uid: str | None) -> None:
        """Have `subscriber` told of a work item no more, and with None for it, of nothing."""
        mine = (
            SUBSCRIPTIONS.c.institution == self._institution,
            SUBSCRIPTIONS.c.subscriber == subscriber,
        )
        if uid is not None:
            self._connection.execute(delete(SUBSCRIPTIONS).where(*mine, SUBSCRIPTIONS.c.uid == uid))
            return
        self.suspend(subscriber)
        self._connection.execute(delete(SUBSCRIPTIONS).where(*mine))
        self._connection.execute(
            delete(EVENTS).where(
                EVENTS.c.institution == self._institution, EVENTS.c.subscriber == subscriber
            )
        )

    def created(self, uid: str, item: Attributes, reports: Sequence[Report]) -> None:
        """Subscribe to a new work item who asked for all of its kind, and tell them of it, and who
        follows it from one before.
        """
        self.tell(uid, reports)
        known = set(self._subscribers(uid))
        rows = self._connection.execute(
            select(GLOBAL_SUBSCRIPTIONS).where(
                GLOBAL_SUBSCRIPTIONS.c.institution == self._institution
            )
        )
        for row in rows.all():
            wanted = self._open(row.attributes) if row.attributes else {}
            if fits(item, wanted) and row.subscriber not in known:
                self._add(row.subscriber, [uid], locked=row.deletion_lock, anew=True)
                self.send([row.subscriber], reports)

    def follow(self, uid: str, next_uid: str) -> None:
        """Subscribe who is subscribed to a work item to the one that takes its place."""
        rows = self._connection.execute(
            select(SUBSCRIPTIONS).where(
                SUBSCRIPTIONS.c.institution == self._institution, SUBSCRIPTIONS.c.uid == uid
            )
        )
        for row in rows.all():
            self._add(row.subscriber, [next_uid], locked=row.deletion_lock, anew=True)

    def tell(self, uid: str, reports: Sequence[Report]) -> None:
        """Have everyone told who is subscribed to a work item."""
        self.send(self._subscribers(uid), reports)

    def _subscribers(self, uid: str) -> Sequence[str]:
        found = self._connection.execute(
            select(SUBSCRIPTIONS.c.subscriber).where(
                SUBSCRIPTIONS.c.institution == self._institution, SUBSCRIPTIONS.c.uid == uid
            )
        )
        return found.scalars().all()

    def send(self, subscribers: Iterable[str], reports: Sequence[Report]) -> None:
        """Have reports wait for subscribers, as many as may."""
        now = time.time()
        for subscriber in subscribers:
            rows = [
                {
                    "institution": self._institution,
                    "subscriber": subscriber,
                    "uid": each.uid,
                    "event": each.event.value,
                    "attributes": self._seal(each.attributes, EVENTS.name),
                    "created_at": now,
                }
                for each in reports[-MOST_WAITING:]
            ]
            if rows:
                self._connection.execute(insert(EVENTS), rows)
                self._drop_oldest(subscriber, now)

    def _drop_oldest(self, subscriber: str, now: float) -> None:
        mine = (EVENTS.c.institution == self._institution, EVENTS.c.subscriber == subscriber)
        newest = (
            select(EVENTS.c.id)
            .where(*mine)
            .order_by(EVENTS.c.id.desc())
            .offset(MOST_WAITING)
            .limit(1)
        )
        last = self._connection.execute(newest).scalar_one_or_none()
        if last is not None:
            self._connection.execute(delete(EVENTS).where(*mine, EVENTS.c.id <= last))
        self._connection.execute(delete(EVENTS).where(*mine, EVENTS.c.created_at < now - WAITING_S))

    def _admit(self, subscriber: str) -> None:
        """Let one more subscriber in.

        Raises:
            Problem: 409, there are too many.
        """
        known = select(SUBSCRIPTIONS.c.subscriber).where(
            SUBSCRIPTIONS.c.institution == self._institution
        )
        more = select(GLOBAL_SUBSCRIPTIONS.c.subscriber).where(
            GLOBAL_SUBSCRIPTIONS.c.institution == self._institution
        )
        found = set(self._connection.execute(known.union(more)).scalars())
        if subscriber not in found and len(found) >= MOST_SUBSCRIBERS:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"{MOST_SUBSCRIBERS} AE titles of your institution are subscribed, the most there "
                "may be; unsubscribe one that listens no more.",
            )

    def _add(self, subscriber: str, uids: Sequence[str], *, locked: bool, anew: bool) -> None:
        """Subscribe to work items; `anew` also changes the locks of those that there were."""
        if not uids:
            return
        statement = insert_into(self._connection, SUBSCRIPTIONS)
        keys = ["institution", "subscriber", "uid"]
        kept = (
            statement.on_conflict_do_update(
                index_elements=keys, set_={"deletion_lock": statement.excluded.deletion_lock}
            )
            if anew
            else statement.on_conflict_do_nothing(index_elements=keys)
        )
        self._connection.execute(
            kept,
            [
                {
                    "institution": self._institution,
                    "subscriber": subscriber,
                    "uid": uid,
                    "deletion_lock": locked,
                }
                for uid in uids
            ],
        )

    def _seal(self, attributes: Attributes, table: str) -> str:
        return sealed(self._keyring, attributes, table)

    def _open(self, stored: str) -> Attributes:
        return unsealed(self._keyring, stored, GLOBAL_SUBSCRIPTIONS)


class Mailbox:
    """What waits for one subscriber, and the connection that it listens on."""

    def __init__(self, connection: Connection, institution: str, subscriber: str) -> None:
        self._connection = connection
        self._mine = {"institution": institution, "subscriber": subscriber}

    def listen(self, channel: str) -> None:
        """Have reports sent on `channel` alone from now on, whichever it was before."""
        values = {"channel": channel, "opened_at": time.time()}
        self._connection.execute(
            insert_into(self._connection, CHANNELS)
            .values(**self._mine, **values)
            .on_conflict_do_update(index_elements=["institution", "subscriber"], set_=values)
        )

    def leave(self, channel: str) -> None:
        """Have reports wait, unless another connection has taken over from `channel`."""
        self._connection.execute(
            delete(CHANNELS).filter_by(**self._mine).where(CHANNELS.c.channel == channel)
        )

    def holds(self, channel: str) -> bool:
        """Whether `channel` is the one to send on."""
        query = select(CHANNELS.c.channel).filter_by(**self._mine)
        return self._connection.execute(query).scalar_one_or_none() == channel

    def waiting(self, keyring: Keyring, most: int) -> list[tuple[int, Report]]:
        """Return the oldest reports with their row numbers."""
        query = select(EVENTS).filter_by(**self._mine).order_by(EVENTS.c.id).limit(most)
        return [
            (
                row.id,
                Report(row.uid, EventType(row.event), unsealed(keyring, row.attributes, EVENTS)),
            )
            for row in self._connection.execute(query)
        ]

    def sent(self, numbers: Sequence[int]) -> None:
        """Take out what was sent."""
        self._connection.execute(delete(EVENTS).where(EVENTS.c.id.in_(numbers)))


def report_restart(connection: Connection, keyring: Keyring) -> None:
    """Have every subscriber told that the service was started anew, once until it hears of it."""
    known = select(SUBSCRIPTIONS.c.institution, SUBSCRIPTIONS.c.subscriber).union(
        select(GLOBAL_SUBSCRIPTIONS.c.institution, GLOBAL_SUBSCRIPTIONS.c.subscriber)
    )
    told = select(EVENTS.c.institution, EVENTS.c.subscriber).where(EVENTS.c.uid == GLOBAL)
    waiting = set(connection.execute(told).all())
    for institution, subscriber in connection.execute(known).all():
        if (institution, subscriber) not in waiting:
            box = Subscriptions(connection, keyring, institution)
            box.send([subscriber], [restart_report()])
