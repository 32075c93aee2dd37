"""What a worker sees to: rows of the records that wait, each carried out by a durable workflow.

The records are the queue. A row is claimed and its workflow begun as soon as its lane has a free
slot, at once where one is free when the row is made: nothing looks for it at intervals.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from dbos import DBOS, SetWorkflowID
from sqlalchemy import Connection, Row, Select, Table, select

from serving.archive import Archive
from serving.jobs.lanes import Lanes
from serving.jobs.tables import DELIVERIES, JOBS, DeliveryState, JobState
from serving.jobs.work import StudyWork, set_state


class Duty(Protocol):
    """One kind of rows."""

    @property
    def table(self) -> Table:
        """With `id`, `state`, `attempt` and `enqueued_attempt`, as jobs have them."""

    @property
    def open_states(self) -> Sequence[str]:
        """Of rows that are not finished; the first is that of rows that wait."""

    @property
    def slots(self) -> Mapping[str, int]:
        """How many workflows run at the same time in each of its lanes, by name."""

    @property
    def workflow(self) -> Callable[[str, str], str]:
        """What carries a row out; takes its `id` and the lane."""

    def prepare(self, lanes: Lanes) -> None:
        """Make the workflow known to DBOS, before it is launched; it holds a slot of `lanes`."""

    def in_order(self, lane: str) -> Select[Any]:
        """Return the query of `id` and `attempt` of a lane's rows, the first to begin first."""

    def claimed(self, connection: Connection, row_id: str) -> None:
        """Change what else changes when a row is claimed, in the same transaction."""


class PreReads:
    """Studies to be read, urgent ones before others."""

    table: Table = JOBS
    open_states = (JobState.QUEUED.value, JobState.RUNNING.value)

    def __init__(
        self, work: StudyWork, archive: Archive, at_once: int, clock: Callable[[], float]
    ) -> None:
        self._archive = archive
        self._clock = clock
        self.workflow = work.pre_read
        self.slots = {"pre-reads": at_once}

    def prepare(self, lanes: Lanes) -> None:
        """Do nothing: DBOS knows the workflow by now."""

    def in_order(self, lane: str) -> Select[Any]:
        """Return the query of all jobs; see `Duty`."""
        del lane
        return select(JOBS.c.id, JOBS.c.attempt).order_by(JOBS.c.urgent.desc(), JOBS.c.created_at)

    def claimed(self, connection: Connection, row_id: str) -> None:
        """Say that the study is being read: a later version no longer takes the job's place."""
        set_state(connection, self._archive.keyring, row_id, JobState.RUNNING, now=self._clock())


_ELSEWHERE = "deliver"
"""The lane of what is for destinations that are not in `node.yaml`: it is not sent, and says so."""


class Deliveries:
    """Pre-reads to be sent, each destination's in a lane of its own, urgent ones before others."""

    table: Table = DELIVERIES
    open_states = (DeliveryState.QUEUED.value,)

    def __init__(self, work: StudyWork, destinations: Iterable[str], at_once: int) -> None:
        self._destinations = {f"deliver-{name}": name for name in destinations}
        self.workflow = work.deliver
        self.slots = dict.fromkeys((*self._destinations, _ELSEWHERE), at_once)

    def prepare(self, lanes: Lanes) -> None:
        """Do nothing: DBOS knows the workflow by now."""

    def in_order(self, lane: str) -> Select[Any]:
        """Return the query of the deliveries to a lane's destination; see `Duty`."""
        column = DELIVERIES.c.destination
        here = tuple(self._destinations.values())
        of_lane = column.not_in(here) if lane == _ELSEWHERE else column == self._destinations[lane]
        return (
            select(DELIVERIES.c.id, DELIVERIES.c.attempt)
            .join(JOBS, JOBS.c.id == DELIVERIES.c.job_id)
            .where(of_lane)
            .order_by(JOBS.c.urgent.desc(), DELIVERIES.c.created_at)
        )

    def claimed(self, connection: Connection, row_id: str) -> None:
        """Do nothing: a delivery that is under way is one that waits for its confirmation."""


class Dispatcher:
    """Begins what waits, as far as there are free slots."""

    def __init__(self, archive: Archive, duties: Sequence[Duty], lanes: Lanes) -> None:
        self._archive = archive
        self._duties = duties
        self._lanes = lanes

    def dispatch(self) -> None:
        """Begin what waits and has its turn."""
        for duty in self._duties:
            for lane in duty.slots:
                self._fill(duty, lane)

    def _fill(self, duty: Duty, lane: str) -> None:
        free = self._lanes.free(lane)
        if not free:
            return
        waiting = duty.in_order(lane).where(
            duty.table.c.state == duty.open_states[0],
            duty.table.c.enqueued_attempt < duty.table.c.attempt,
        )
        with self._archive.engine.connect() as connection:
            rows = connection.execute(waiting.limit(free)).all()
        for row in rows:
            if not self._claim(duty, row):
                continue
            workflow_id = f"{row.id}.{row.attempt}"
            self._lanes.take(lane, workflow_id)
            try:
                with SetWorkflowID(workflow_id):
                    DBOS.start_workflow(duty.workflow, row.id, lane)
            except BaseException:
                # What was claimed and not begun is found as a stray.
                self._lanes.give_back(workflow_id)
                raise

    def _claim(self, duty: Duty, row: Row[Any]) -> bool:
        """Whether the row is ours to begin: another worker, or a later version, may be first."""

        def claim(connection: Connection) -> bool:
            changed = connection.execute(
                duty.table.update()
                .where(
                    duty.table.c.id == row.id,
                    duty.table.c.state == duty.open_states[0],
                    duty.table.c.attempt == row.attempt,
                    duty.table.c.enqueued_attempt < row.attempt,
                )
                .values(enqueued_attempt=row.attempt)
            )
            if changed.rowcount != 1:
                return False
            duty.claimed(connection, row.id)
            return True

        return self._archive.write(claim)
