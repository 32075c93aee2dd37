"""Which durable workflows this process carries out now."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from dbos import DBOS


class Running:
    """Workflows by their DBOS identifiers; one may run twice where it was handed out anew."""

    def __init__(self) -> None:
        self._ids: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note the workflow that calls as long as the context lasts."""
        found = str(DBOS.workflow_id)
        with self._lock:
            self._ids[found] += 1
        try:
            yield
        finally:
            with self._lock:
                self._ids[found] -= 1

    def __contains__(self, workflow_id: object) -> bool:
        with self._lock:
            return self._ids[str(workflow_id)] > 0


RUNNING = Running()
"""Those of this process, in which there is one DBOS."""
