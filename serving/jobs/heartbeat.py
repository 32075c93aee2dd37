"""Signs of life of the workers, by which each knows whose jobs it has to take over."""

import time
from collections.abc import Callable

from sqlalchemy import Connection, select

from serving.archive import Archive
from serving.archive.entries import insert_into
from serving.jobs.tables import EXECUTORS

BEAT_S = 10.0
DEAD_AFTER_S = 60.0


class Heartbeat:
    """One worker's signs of life, and its watch over those of the others.

    A worker is dead when its sign has not changed for long enough by this machine's own steady
    clock: what the clocks on the walls say, and by how much they jump or differ, does not matter.
    """

    def __init__(
        self,
        archive: Archive,
        executor_id: str,
        *,
        dead_after_s: float = DEAD_AFTER_S,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive = archive
        self._executor_id = executor_id
        self._dead_after_s = dead_after_s
        self._every_s = min(BEAT_S, dead_after_s / 4)
        self._clock = clock
        self._steady = steady
        self._beaten_at: float | None = None
        self._seen: dict[str, tuple[float, float]] = {}
        """Of each other worker its last sign and when, by our clock, we saw it first."""

    def beat(self) -> list[str]:
        """Give a sign where it is time to; return who has given none for too long."""
        now = self._steady()
        if self._beaten_at is not None and now - self._beaten_at < self._every_s:
            return []
        signs = self._archive.write(self._sign)
        self._beaten_at = now
        self._seen = {name: self._since(name, sign, now) for name, sign in signs.items()}
        return [
            name for name, (_, since) in self._seen.items() if now - since >= self._dead_after_s
        ]

    def bury(self, executor_id: str) -> None:
        """Forget a worker whose jobs were taken over."""
        self._archive.write(
            lambda connection: (
                connection.execute(EXECUTORS.delete().where(EXECUTORS.c.id == executor_id)).rowcount
            )
        )

    def _since(self, name: str, sign: float, now: float) -> tuple[float, float]:
        before = self._seen.get(name)
        return before if before is not None and before[0] == sign else (sign, now)

    def _sign(self, connection: Connection) -> dict[str, float]:
        moment = self._clock()
        connection.execute(
            insert_into(connection, EXECUTORS)
            .values(id=self._executor_id, beat_at=moment)
            .on_conflict_do_update(index_elements=["id"], set_={"beat_at": moment})
        )
        others = select(EXECUTORS).where(EXECUTORS.c.id != self._executor_id)
        return {row.id: row.beat_at for row in connection.execute(others)}
