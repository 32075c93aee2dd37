"""How many workflows of each kind this process carries out at the same time, and which these are.

A lane has slots: reading has one for each study that is read at the same time, each destination one
for each pre-read that is sent to it. What is queued waits in the records until a slot is free, and
begins at once where one is.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping


class Stopping(BaseException):
    """The worker stops before the workflow had its turn.

    Not an `Exception`, which DBOS would take for the end of the workflow: so it is found under way
    at the next start.
    """


class Lanes:
    """The lanes of one worker; used from many threads."""

    def __init__(self, freed: Callable[[], None]) -> None:
        """`freed` is called when a slot becomes free."""
        self._slots: dict[str, int] = {}
        self._freed = freed
        self._changed = threading.Condition()
        self._taken: dict[str, str] = {}
        """The lane of each workflow for which a slot is kept until it begins."""
        self._busy: Counter[str] = Counter()
        """Slots that are taken or held, by lane."""
        self._waiting: Counter[str] = Counter()
        self._ended: list[str] = []
        """Workflows that have ended here since somebody asked."""
        self._running: Counter[str] = Counter()
        """Workflows by their identifiers; one may run twice where it was handed out anew."""
        self._closed = False

    def add(self, slots: Mapping[str, int]) -> None:
        """Have lanes of these names, with so many slots each."""
        with self._changed:
            self._slots |= slots

    def __contains__(self, workflow_id: object) -> bool:
        """Whether the workflow is carried out, or waits for a slot."""
        with self._changed:
            return self._running[str(workflow_id)] > 0

    def free(self, lane: str) -> int:
        """Return how many slots nobody has and nobody waits for."""
        with self._changed:
            return max(0, self._slots_of(lane) - self._busy[lane] - self._waiting[lane])

    def take(self, lane: str, workflow_id: str) -> None:
        """Keep a slot for a workflow that is about to begin."""
        with self._changed:
            self._taken[workflow_id] = lane
            self._busy[lane] += 1

    def give_back(self, workflow_id: str) -> None:
        """Free the slot that was kept for a workflow which did not begin, if any was."""
        with self._changed:
            lane = self._taken.pop(workflow_id, None)
            if lane is None:
                return
            self._leave(lane)
        self._freed()

    @contextlib.contextmanager
    def held(self, lane: str, workflow_id: str) -> Iterator[None]:
        """Hold a slot for a workflow as long as the context lasts.

        What goes on after a kill had none kept, and waits for one here.

        Raises:
            Stopping: the worker stops first.
        """
        with self._changed:
            self._running[workflow_id] += 1
        try:
            self._enter(lane, workflow_id)
            try:
                yield
            finally:
                with self._changed:
                    self._leave(lane)
        finally:
            with self._changed:
                self._running[workflow_id] -= 1
                self._ended.append(workflow_id)
            self._freed()

    def ended(self) -> list[str]:
        """Return the workflows that have ended here since this was last asked."""
        with self._changed:
            found, self._ended = self._ended, []
        return found

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _enter(self, lane: str, workflow_id: str) -> None:
        with self._changed:
            if self._taken.pop(workflow_id, None) is not None:
                return
            self._waiting[lane] += 1
            try:
                while self._busy[lane] >= self._slots_of(lane) and not self._closed:
                    self._changed.wait()
            finally:
                self._waiting[lane] -= 1
            if self._closed:
                raise Stopping
            self._busy[lane] += 1

    def _slots_of(self, lane: str) -> int:
        # A workflow may go on whose destination is no longer in `node.yaml`: it says so and ends.
        return self._slots.get(lane, 1)

    def _leave(self, lane: str) -> None:
        self._busy[lane] -= 1
        self._changed.notify_all()
