"""One data set on its way in, and what is done with it meanwhile."""

import logging
import threading
from dataclasses import dataclass
from typing import Protocol

from serving.dimse.command import Status
from serving.faults import place_of

_LOG = logging.getLogger("zhuzhen.dimse")
_SMALLEST, _LARGEST_KEPT = 2**20, 2**24
"""Bytes of an association's room when it is made, and of the largest that is kept."""


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

    @property
    def head(self) -> bytes:
        """What is to lie before the data set, so that both lie together as they are kept."""

    def add(self, content: memoryview) -> None:
        """Work on head and data set as far as it has come; they are valid during the call."""

    def store(self, content: memoryview) -> Answer:
        """Keep the instance, whose data set is complete after its head; success only if it is."""

    def close(self) -> None:
        """Forget what was not stored."""


class Budget:
    """The memory that all data sets being received share."""

    def __init__(self, limit: int) -> None:
        """Of `limit` bytes."""
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


class Room:
    """Memory for the data sets of an association, one at a time.

    It is kept for the next one unless it is large: to get memory anew takes longer than to fill it.
    """

    def __init__(self, budget: Budget, limit: int) -> None:
        self._budget = budget
        self._limit = limit
        self.memory = memoryview(b"")

    def grow(self, used: int, needed: int) -> bool:
        """Make room for `needed` bytes, of which `used` are there; whether that is possible."""
        if needed > self._limit:
            return False
        size = min(max(needed, 2 * len(self.memory), _SMALLEST), self._limit)
        if not self._budget.take(size):
            size = needed
            if not self._budget.take(size):
                return False
        larger = memoryview(bytearray(size))
        larger[:used] = self.memory[:used]
        self._budget.give_back(len(self.memory))
        self.memory = larger
        return True

    def tidy(self) -> None:
        """Give back what is too large to be kept."""
        if len(self.memory) > _LARGEST_KEPT:
            self.close()

    def close(self) -> None:
        """Give everything back."""
        self._budget.give_back(len(self.memory))
        self.memory = memoryview(b"")


class Reception:
    """Collects the fragments of one data set; of what is refused already they are dropped."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._length = 0
        """Of the head of what takes the data set in, and of what has come."""
        self._intake: Intake | None = None
        self._refusal: Answer | None = None

    def refuse(self, answer: Answer) -> None:
        """Answer with this, whatever comes."""
        self._refusal = answer
        self.close()

    def hand_to(self, intake: Intake) -> None:
        """Have `intake` take the data set in."""
        self._intake = intake
        head = intake.head
        place = self.place_for(len(head))
        if place is not None:
            place[:] = head
            self._length = len(head)

    def place_for(self, count: int) -> memoryview | None:
        """Return where the next `count` bytes are to lie, None where they are not wanted."""
        if self._refusal is not None:
            return None
        end = self._length + count
        if end > len(self._room.memory) and not self._room.grow(self._length, end):
            self.refuse(_TOO_LARGE)
            return None
        return self._room.memory[self._length : end]

    def add(self, count: int) -> None:
        """Take the next `count` bytes, which lie in their place."""
        self._length += count
        if self._intake is not None:
            try:
                self._intake.add(self._room.memory[: self._length])
            except Exception as error:  # noqa: BLE001 - as in `store`
                self._fail(error)

    def store(self) -> Answer:
        """Have the complete data set kept; return what the sender is told."""
        if self._refusal is None and self._intake is not None:
            try:
                return self._intake.store(self._room.memory[: self._length])
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the association
                self._fail(error)
        return self._refusal or _FAILED

    def close(self) -> None:
        """Give the memory back, and forget what was not stored."""
        self._room.tidy()
        if self._intake is not None:
            self._intake.close()
            self._intake = None

    def _fail(self, error: Exception) -> None:
        _LOG.error("An instance could not be stored: %s", place_of(error))
        self.refuse(_FAILED)


_TOO_LARGE = Answer(Status.OUT_OF_RESOURCES, "The data set is too large for what is free")
_FAILED = Answer(Status.PROCESSING_FAILURE, "Not stored; the log of the node says why")
