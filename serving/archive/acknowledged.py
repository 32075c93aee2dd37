"""What was acknowledged and is not in the index yet, to be asked whose a study is."""

import threading
from collections import Counter

from serving.archive.entries import Entry, stated_patient

Study = tuple[str, str]
"""Institution and Study Instance UID."""


class Acknowledged:
    """Arrivals by the name that they are held under; may be used from many threads at once.

    Of a thousand slices each is asked about beside all the others that wait: the patients of a
    study are counted, and none is looked at again.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._patients: dict[Study, Counter[str]] = {}
        self._lock = threading.Lock()

    def add(self, held: str, entry: Entry) -> None:
        """Take note of an arrival."""
        with self._lock:
            self._entries[held] = entry
            self._patients.setdefault(_study(entry), Counter())[stated_patient(entry.header)] += 1

    def forget(self, held: str) -> None:
        """Forget an arrival, if it is here: the index has it, or it is not kept."""
        with self._lock:
            entry = self._entries.pop(held, None)
            if entry is None:
                return
            study, patient = _study(entry), stated_patient(entry.header)
            patients = self._patients[study]
            patients[patient] -= 1
            if not patients[patient]:
                del patients[patient]
            if not patients:
                del self._patients[study]

    def has_of_other_patient(self, entry: Entry) -> bool:
        """Whether an arrival of the study of `entry` states another patient."""
        own = {"", stated_patient(entry.header)}
        with self._lock:
            return len(own) > 1 and not self._patients.get(_study(entry), {}).keys() <= own


def _study(entry: Entry) -> Study:
    return entry.institution, entry.header.study_uid
