"""Work that the records have as under way and that nobody carries out: queued anew.

A workflow that could not write what it had done, because a disk was full or a database away for
longer than it was patient, ends in DBOS and not in the records. The records say what is to be done.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dbos import DBOS
from sqlalchemy import Connection, Table, select

from serving.archive import Archive
from serving.jobs.forgetting import UNDER_WAY
from serving.jobs.lanes import Lanes
from serving.jobs.work import WORKFLOW_VERSION

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Row:
    table: Table
    id: str
    attempt: int

    @property
    def workflow_id(self) -> str:
        return f"{self.id}.{self.attempt}"


@dataclass(frozen=True, slots=True)
class _Known:
    """What DBOS has of a workflow."""

    status: str
    executor_id: str | None
    version: str | None


class Strays:
    """Looks after rows that wait for a workflow."""

    def __init__(
        self,
        archive: Archive,
        tables: Sequence[tuple[Table, Sequence[str]]],
        lanes: Lanes,
        executor_id: str,
    ) -> None:
        """Look after rows of `tables` in the states that are given with each."""
        self._archive = archive
        self._tables = tables
        self._lanes = lanes
        self._executor_id = executor_id
        self._suspects: set[str] = set()
        self._ended: list[str] = []

    def adopt_of_before(self) -> int:
        """Queue anew what DBOS does not know, or knows under another version of the workflows.

        For the start of a worker, before what was under way goes on. Returns how many it was.
        """
        rows, known = self._under_way()
        return self._queue(
            [
                row
                for row in rows
                if row.workflow_id not in known
                or known[row.workflow_id].version != WORKFLOW_VERSION
            ]
        )

    def adopt(self) -> int:
        """Queue anew what ended, or is this process's and not carried out; return how many.

        It must be found so twice in a row: between one look and the next a workflow may be handed
        from its row to its thread.
        """
        rows, known = self._under_way()
        lost = [row for row in rows if self._is_lost(row.workflow_id, known)]
        sure = [row for row in lost if row.workflow_id in self._suspects]
        self._suspects = {row.workflow_id for row in lost}
        return self._queue(sure)

    def gone(self) -> list[str]:
        """Return the rows whose workflows have ended here a while ago, and that are gone: erased.

        A while, since DBOS writes down that a workflow has ended after it has.
        """
        ended, self._ended = self._ended, self._lanes.ended()
        asked = {workflow_id.rpartition(".")[0] for workflow_id in ended}
        if not asked:
            return []
        with self._archive.engine.connect() as connection:
            for table, _ in self._tables:
                known = select(table.c.id).where(table.c.id.in_(asked))
                asked.difference_update(connection.execute(known).scalars().all())
        return sorted(asked)

    def _is_lost(self, workflow_id: str, known: dict[str, _Known]) -> bool:
        found = known.get(workflow_id)
        if found is None or found.status not in UNDER_WAY:
            return True
        return (
            found.status == "PENDING"
            and found.executor_id == self._executor_id
            and workflow_id not in self._lanes
        )

    def _under_way(self) -> tuple[list[_Row], dict[str, _Known]]:
        rows = []
        with self._archive.engine.connect() as connection:
            for table, states in self._tables:
                found = connection.execute(
                    select(table.c.id, table.c.attempt).where(
                        table.c.state.in_(states), table.c.enqueued_attempt == table.c.attempt
                    )
                )
                rows += [_Row(table, row.id, row.attempt) for row in found]
        known = {}
        for start in range(0, len(rows), _AT_ONCE):
            asked = [row.workflow_id for row in rows[start : start + _AT_ONCE]]
            for each in DBOS.list_workflows(
                workflow_ids=asked, load_input=False, load_output=False
            ):
                known[each.workflow_id] = _Known(each.status, each.executor_id, each.app_version)
        return rows, known

    def _queue(self, rows: Sequence[_Row]) -> int:
        if not rows:
            return 0
        DBOS.cancel_workflows([row.workflow_id for row in rows])
        for row in rows:
            self._lanes.give_back(row.workflow_id)

        def write(connection: Connection) -> int:
            return sum(self._queue_row(connection, row) for row in rows)

        return self._archive.write(write)

    def _queue_row(self, connection: Connection, row: _Row) -> int:
        """Queue a row unless it went on since it was looked at."""
        states = next(states for table, states in self._tables if table is row.table)
        changed = connection.execute(
            row.table.update()
            .where(
                row.table.c.id == row.id,
                row.table.c.attempt == row.attempt,
                row.table.c.state.in_(states),
            )
            .values(attempt=row.attempt + 1, state="queued")
        )
        return changed.rowcount
