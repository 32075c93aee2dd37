"""Instances between their acknowledgement and the index.

What is needed to keep an instance is its object and who sent it when. Once both lie in the object
store, the instance outlives whatever happens, for its place in the index can be made of them at any
time. So its sender need not wait for the index, which is written behind, many instances together.

Such an object is held under a name made of its institution and UID. That makes the name a claim to
the UID, too, in all processes: who has it looks in the index whether another instance is known, and
nobody else can bring one meanwhile. A name is let go once the instance is in the index. What a
process leaves held when it ends is indexed by the next one that starts or looks.
"""

import contextlib
import hashlib
import hmac
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError

from models.errors import ZhuzhenError
from serving.archive.acknowledged import Acknowledged
from serving.archive.entries import (
    Entry,
    find_digest,
    is_of_other_patient,
)
from serving.archive.errors import InstanceRefusedError, StudyGoneError
from serving.archive.file_meta import data_set_offset
from serving.archive.header import read_instance_header
from serving.archive.ledger import Ledger
from serving.archive.places import Places
from serving.faults import place_of
from serving.objects import ObjectNotFoundError, ObjectStore, ObjectWriter, StoredObject
from serving.privacy import Keyring, SealError, SecretName
from serving.records import Reader

_LOG = logging.getLogger("zhuzhen.archive")
_DELAY_S = 0.05
"""So long instances are gathered before they are indexed together."""
_MOST_TOGETHER, _MOST_WAITING = 64, 1024
_PAUSE_S = 0.005
_FOREIGN_S = 0.5
"""So long it is waited for the index of another process, which may have ended."""
_LONGEST_S = 10.0
"""So long it is waited for a name; then its sender is to send again later."""
_AGAIN_S = 1.0
_OF_ONE = (DataError, IntegrityError, ProgrammingError)
"""What a database says of what is written, not of itself."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An instance that is held."""

    held: str
    entry: Entry
    at: float
    """Seconds of the epoch."""
    reopens: bool
    synced: bool
    """Whether its place in the index is to outlive a loss of power before it is let go."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the index says of an arrival."""

    digest: str | None
    """Of the instance that has its UID already."""
    is_of_other_patient: bool
    """Whether its study is another patient's."""


Write = Callable[[Connection, Sequence[Arrival]], list[str | None]]
"""Indexes arrivals; returns of each None, or the digest of the instance that has its UID."""
Fail = Callable[[Arrival, Exception | None], InstanceRefusedError | None]
"""Takes what cannot be in the index, of an error or of another instance with its UID; returns what
its sender is told if it waits for the index."""


class Arrivals:
    """The arrivals of one archive; may be used from many threads at once."""

    def __init__(
        self,
        engine: Engine,
        objects: ObjectStore,
        keyring: Keyring,
        ledger: Ledger,
        places: Places,
        write: Write,
        fail: Fail,
    ) -> None:
        self._reader = Reader(engine)
        self._objects = objects
        self._keyring = keyring
        self._ledger = ledger
        self._places = places
        self._write = write
        self._fail = fail
        self._waiting: deque[Arrival] = deque()
        self._ours: set[str] = set()
        """Names that this process holds."""
        self._acknowledged = Acknowledged()
        self._is_stuck = False
        self._turn = threading.Lock()
        """Held by who indexes what waits."""
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)
        self._thread.start()

    def claim(
        self, writer: ObjectWriter, entry: Entry, at: float, *, reopens: bool, synced: bool
    ) -> Arrival:
        """Hold the object that `writer` has finished, waiting for another one with its UID.

        Raises:
            OSError: it cannot be held.
            SQLAlchemyError: what waits cannot be indexed, so that no more is taken.
        """
        if self._is_stuck or len(self._waiting) >= _MOST_WAITING:
            self.settle()
        arrival = Arrival(self._name(entry), entry, at, reopens, synced)
        writer.annotate(_note(arrival))
        began = time.monotonic()
        while not writer.hold(arrival.held):
            self.settle()
            waited = time.monotonic() - began
            if waited > _LONGEST_S:
                raise OSError("another instance with its UID is held, and cannot be indexed")
            if waited > _FOREIGN_S:
                self.adopt([arrival.held])
            time.sleep(_PAUSE_S)
        self._ours.add(arrival.held)
        return arrival

    def known(self, arrival: Arrival, *, behind: bool) -> Known:
        """Return what is known of the UID and of the study.

        What another process acknowledged in the last moments is not; the index finds it. Of what is
        indexed `behind`, a study that came here lately is taken to be the same patient's still.
        """
        entry = arrival.entry
        # First these: who is not among them any more is in the index.
        if self._acknowledged.has_of_other_patient(entry):
            return Known(None, is_of_other_patient=True)

        def look(connection: Connection) -> Known:
            uid = entry.header.sop_instance_uid
            digest = find_digest(connection, entry.institution, uid)
            if digest is not None:
                return Known(digest, is_of_other_patient=False)
            if behind and entry.key in self._places:
                return Known(None, is_of_other_patient=False)
            return Known(None, is_of_other_patient(connection, self._keyring, entry))

        return self._reader.read(look)

    def let_go(self, arrival: Arrival) -> None:
        """Give up the claim to a UID."""
        self._objects.let_go(arrival.held)
        self._acknowledged.forget(arrival.held)
        self._ours.discard(arrival.held)

    def add(self, arrival: Arrival) -> None:
        """Have an arrival indexed, soon."""
        self._acknowledged.add(arrival.held, arrival.entry)
        with self._changed:
            self._waiting.append(arrival)
            if len(self._waiting) == 1:
                self._changed.notify()

    def index(self, arrivals: Iterable[Arrival]) -> list[InstanceRefusedError]:
        """Index arrivals and let them go; return why some of them are not in the index.

        Raises:
            OSError, SQLAlchemyError: that is not possible now; what it concerns is still held.
        """
        waiting = deque(arrivals)
        refused: list[InstanceRefusedError] = []
        while waiting:
            batch = [waiting.popleft() for _ in range(min(len(waiting), _MOST_TOGETHER))]
            try:
                refused += self._index(batch)
            except Exception as error:
                if _heals(error):
                    raise
                # One of them cannot be indexed, and must not hold up the others.
                for arrival in batch:
                    refused += self._index_alone(arrival)
        return refused

    def _index(self, batch: list[Arrival]) -> list[InstanceRefusedError]:
        """Index arrivals in one transaction and let them go."""
        known = self._ledger.write(
            lambda connection: self._write(connection, batch),
            synced=any(arrival.synced for arrival in batch),
        )
        refused = []
        for arrival, digest in zip(batch, known, strict=True):
            stored = arrival.entry.stored.digest
            if digest not in (None, stored):
                refused.append(self._fail(arrival, None))
            elif not self._objects.exists(stored):
                # The same file was removed from the quarantine before it was in the index.
                with contextlib.suppress(ObjectNotFoundError):
                    self._objects.place_held(arrival.held, stored)
        self.end(batch)
        return [each for each in refused if each is not None]

    def end(self, arrivals: Iterable[Arrival]) -> None:
        """Let go what lies in its place, and has an entry of its own or needs none."""
        ended = list(arrivals)
        self._objects.sync_places(each.entry.stored.digest for each in ended if each.synced)
        for arrival in ended:
            self.let_go(arrival)

    def _index_alone(self, arrival: Arrival) -> list[InstanceRefusedError]:
        try:
            return self._index([arrival])
        except Exception as error:
            if _heals(error):
                raise
            refused = self._fail(arrival, error)
            self.end([arrival])
            return [] if refused is None else [refused]

    def settle(self) -> None:
        """Index what was added before.

        Raises:
            OSError, SQLAlchemyError: that is not possible now; it goes on waiting.
        """
        with self._turn:
            with self._changed:
                batch = list(self._waiting)
                self._waiting.clear()
            if not batch:
                return
            try:
                self.index(batch)
            except BaseException:
                self._is_stuck = True
                with self._changed:
                    self._waiting.extendleft(
                        each for each in reversed(batch) if each.held in self._ours
                    )
                raise
            self._is_stuck = False

    def settle_all(self) -> None:
        """Index what was acknowledged before, by whichever process.

        Raises:
            OSError, SQLAlchemyError: that is not possible now.
        """
        self.settle()
        give_up = time.monotonic() + _FOREIGN_S
        foreign = set(self._objects.held()) - self._ours
        while foreign and time.monotonic() < give_up:
            time.sleep(_PAUSE_S)
            foreign.intersection_update(self._objects.held())
        self.adopt(foreign)

    def adopt(self, held: Iterable[str] | None = None) -> int:
        """Index what a process left under the names `held`, by default all; return how many.

        That process may still be there and do the same: the instance is indexed once.

        Raises:
            OSError, SQLAlchemyError: that is not possible now.
        """
        found = [self._found(name) for name in (self._objects.held() if held is None else held)]
        arrivals = [arrival for arrival in found if arrival is not None]
        self.index(sorted(arrivals, key=lambda arrival: arrival.at))
        return len(arrivals)

    def _found(self, held: str) -> Arrival | None:
        try:
            note = json.loads(self._objects.note_of(held))
            stored = StoredObject(note["digest"], note["size"])
            self._objects.place_held(held, stored.digest)
            file = self._objects.get(stored.digest)
        except ObjectNotFoundError:
            # It was indexed meanwhile.
            return None
        except SealError:
            _LOG.error(
                "An instance had not reached the disk when the machine went off; its sender must "
                "send it again"
            )
            self._objects.let_go(held)
            return None
        try:
            header = read_instance_header(file[data_set_offset(file) :], note["syntax"])
        except InstanceRefusedError as error:
            _LOG.error("An instance that was kept cannot be read any more: %s", error)
            return None
        entry = Entry(header, note["syntax"], stored, note["institution"], note["source"])
        return Arrival(held, entry, note["at"], note["reopens"], synced=True)

    def close(self) -> None:
        """Index what waits and stop; what cannot be indexed now is, by the next process."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
            self._closing.wait(_DELAY_S)
            try:
                self.settle()
            except Exception as error:  # noqa: BLE001 - a disk may be full, the database away
                _LOG.error("What came is kept, and cannot be indexed now: %s", place_of(error))
                self._closing.wait(_AGAIN_S)
            if self._closing.is_set():
                return

    def _name(self, entry: Entry) -> str:
        key = self._keyring.secret(SecretName.BLIND_INDEX)
        claimed = f"arrivals\n{entry.institution}\n{entry.header.sop_instance_uid}"
        return hmac.digest(key, claimed.encode(), hashlib.sha256).hex()


def _heals(error: Exception) -> bool:
    """Whether an error has nothing to do with what was to be indexed: a disk is full, say."""
    if isinstance(error, SQLAlchemyError):
        return not isinstance(error, _OF_ONE)
    if isinstance(error, InstanceRefusedError | StudyGoneError):
        return False
    return isinstance(error, OSError | MemoryError | ZhuzhenError)


def _note(arrival: Arrival) -> bytes:
    entry = arrival.entry
    note = {
        "digest": entry.stored.digest,
        "size": entry.stored.size,
        "syntax": entry.transfer_syntax_uid,
        "institution": entry.institution,
        "source": entry.source,
        "at": arrival.at,
        "reopens": arrival.reopens,
    }
    return json.dumps(note).encode()
