"""Which lane this writer continues.

A lane belongs to one writer while it writes: by a file lock beside a SQLite database, by an
advisory lock of the session on PostgreSQL. Both are let go when the process dies. The primary key
of the events stands behind them: two writers of one lane cannot both commit.

A lane at whose end somebody without the key has put an event is left as it is, for verification to
find.
"""

import contextlib
import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, text

from models.errors import ZhuzhenError

MOST_LANES = 256
_LOCK_CLASS = 0x5A5A
"""First key of the advisory locks; the second is the lane."""


class NoLaneError(ZhuzhenError):
    """There are more writers than lanes."""


class LaneClaim:
    """A lane that nobody else writes to while this is held; `connection` must stay open as long."""

    def __init__(self, lane: int, lock: IO[bytes] | None) -> None:
        self.lane = lane
        self._lock = lock

    def release(self) -> None:
        """Let others have the lane; an advisory lock goes with its connection."""
        if self._lock is not None:
            self._lock.close()


def claim_lane(connection: Connection, is_sound: Callable[[int], bool]) -> LaneClaim:
    """Claim the first lane that is free and `is_sound`; nobody continues one that is not.

    Raises:
        NoLaneError: all lanes are taken.
    """
    for lane in range(MOST_LANES):
        claim = _try(connection, lane)
        if claim is not None and is_sound(lane):
            return claim
        if claim is not None:
            claim.release()
    raise NoLaneError(
        f"All {MOST_LANES} lanes of the audit record have a writer, or end in an event that no "
        "writer signed; expected fewer processes. `zhuzhen audit verify` tells of the latter."
    )


def _try(connection: Connection, lane: int) -> LaneClaim | None:
    if connection.dialect.name != "sqlite":
        query = text("SELECT pg_try_advisory_lock(:kind, :lane)")
        locked = connection.execute(query, {"kind": _LOCK_CLASS, "lane": lane}).scalar_one()
        connection.commit()
        return LaneClaim(lane, None) if locked else None
    database = connection.engine.url.database
    if database in (None, "", ":memory:"):
        return LaneClaim(lane, None)
    lock = Path(f"{database}.lane-{lane}").open("ab")  # noqa: SIM115 - held by the claim
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return LaneClaim(lane, lock)
    lock.close()
    return None
