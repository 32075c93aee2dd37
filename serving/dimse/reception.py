"""One data set on its way in, and what is done with it meanwhile."""

import logging
import threading
from dataclasses import dataclass
from typing import Protocol

from serving.dimse.command import Status
from serving.faults import place_of

_LOG = logging.getLogger("zhuzhen.dimse")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end."""

    ae_title: str
    """Empty as long as it is not known."""
    address: str
    certificate_names: frozenset[str] = frozenset()
    """Of its certificate, where it had to show one."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An instance that is being sent by C-STORE, as its command announces it."""

    peer: Peer
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told."""

    status: int
    comment: str = ""
    """In English and ASCII, without patient data; its first 64 characters are sent."""


class Intake(Protocol):
    """What takes one instance in; used by one thread."""

    def add(self, piece: memoryview) -> None:
        """Work on the next bytes of the data set, which are valid during the call."""

    def store(self, data_set: memoryview) -> Answer:
        """Keep the instance, whose `data_set` is complete; success only once it is kept."""

    def close(self) -> None:
        """Forget what was not stored."""


class Budget:
    """Bytes that all data sets being received may hold together."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Book `count` bytes if they are left."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give_back(self, count: int) -> None:
        """Return `count` booked bytes."""
        with self._lock:
            self._left += count


class Reception:
    """Collects the fragments of one data set; of what is refused already they are dropped."""

    def __init__(self, budget: Budget, limit: int) -> None:
        self._budget = budget
        self._limit = limit
        self._data = bytearray()
        self._intake: Intake | None = None
        self._refusal: Answer | None = None

    def refuse(self, answer: Answer) -> None:
        """Answer with this, whatever comes."""
        self._refusal = answer
        self.close()

    def hand_to(self, intake: Intake) -> None:
        """Have `intake` take the data set in."""
        self._intake = intake

    def add(self, piece: memoryview) -> None:
        """Append a fragment."""
        if self._refusal is not None:
            return
        fits = len(self._data) + len(piece) <= self._limit
        if not fits or not self._budget.take(len(piece)):
            self.refuse(_TOO_LARGE)
            return
        self._data += piece
        if self._intake is not None:
            try:
                self._intake.add(piece)
            except Exception as error:  # noqa: BLE001 - as in `store`
                self._fail(error)

    def store(self) -> Answer:
        """Have the complete data set kept; return what the sender is told."""
        if self._refusal is None and self._intake is not None:
            try:
                with memoryview(self._data) as data_set:
                    return self._intake.store(data_set)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the association
                self._fail(error)
        return self._refusal or _FAILED

    def close(self) -> None:
        """Give the memory back, and forget what was not stored."""
        self._budget.give_back(len(self._data))
        self._data = bytearray()
        if self._intake is not None:
            self._intake.close()
            self._intake = None

    def _fail(self, error: Exception) -> None:
        _LOG.error("An instance could not be stored: %s", place_of(error))
        self.refuse(_FAILED)


_TOO_LARGE = Answer(Status.OUT_OF_RESOURCES, "The data set is too large for what is free")
_FAILED = Answer(Status.PROCESSING_FAILURE, "Not stored; the log of the node says why")
