"""After the machine was off: index entries whose instances did not reach the disk.

Where the node is set to `process-end`, an entry may be there after a loss of power without its
object, which the system had not written yet. Such entries are removed, so that the instance is
taken as new when it is sent again.
"""

import logging
from pathlib import Path

from sqlalchemy import Connection, Row, func, select

from serving.archive.archive import Archive
from serving.archive.tables import INSTANCES, SERIES, STUDIES
from serving.objects import ObjectNotFoundError
from serving.privacy import SealError

_LOG = logging.getLogger("zhuzhen.archive")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNWRITTEN_S = 120.0
"""Longer than a system keeps what was written in memory alone (Linux: 30 s)."""


def recover_after_boot(archive: Archive, folder: Path) -> int:
    """Recover if the machine was started anew since this was last called; see `recover`."""
    mark = folder / "boot"
    # Where the system does not tell, it may have been off.
    boot = _BOOT_ID.read_text() if _BOOT_ID.exists() else ""
    if boot and mark.exists() and mark.read_text() == boot:
        return 0
    removed = recover(archive)
    mark.write_text(boot)
    return removed


def recover(archive: Archive) -> int:
    """Remove the entries of the last instances whose objects are not whole; return how many."""
    with archive.engine.connect() as connection:
        newest = connection.execute(select(func.max(INSTANCES.c.received_at))).scalar()
        if newest is None:
            return 0
        rows = connection.execute(
            select(INSTANCES.c.id, INSTANCES.c.digest, SERIES.c.study_id)
            .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
            .where(INSTANCES.c.received_at >= newest - _UNWRITTEN_S)
        ).all()
    torn = [row for row in rows if not _is_whole(archive, row.digest)]
    if torn:
        archive.write(lambda connection: _remove(connection, torn))
        _LOG.error(
            "%d instances had not reached the disk when the machine went off; their senders must "
            "send them again",
            len(torn),
        )
    return len(torn)


def _is_whole(archive: Archive, digest: str) -> bool:
    try:
        archive.open(digest)
    except (ObjectNotFoundError, SealError):
        return False
    return True


def _remove(connection: Connection, rows: list[Row[int, str, int]]) -> None:
    for row in rows:
        connection.execute(INSTANCES.delete().where(INSTANCES.c.id == row.id))
        connection.execute(
            STUDIES.update()
            .where(STUDIES.c.id == row.study_id)
            .values(instances=STUDIES.c.instances - 1)
        )
