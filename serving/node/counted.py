"""Whether all instances of a study have come, where it is known how many there are."""

import threading
from collections import OrderedDict

from serving.routing import Source

_MOST_STUDIES = 1000
"""That are counted at the same time; the one that began first is forgotten, and is found complete
a moment later all the same."""


class Counted:
    """Counts what comes of each study in this process; used from many threads.

    Only a hint to look at once: whether a study is complete, the records say.
    """

    def __init__(self) -> None:
        self._changed = threading.Lock()
        self._came: OrderedDict[tuple[str, str], int] = OrderedDict()

    def is_last(self, source: Source, study_uid: str) -> bool:
        """Whether the new instance of a study of `source` is the last one that is expected."""
        expected = source.expected_instances
        if expected is None:
            return False
        key = (source.name, study_uid)
        with self._changed:
            came = self._came.pop(key, 0) + 1
            if came >= expected:
                return True
            self._came[key] = came
            if len(self._came) > _MOST_STUDIES:
                self._came.popitem(last=False)
            return False
