"""Keeping instances: the bytes and where they come from; only then is success said.

The index follows: at once where the caller asks for that, else behind (`serving.archive.arrivals`).

An instance is kept as a file of its own (PS3.10) with our file meta information before the data set
exactly as it came, so that the same data set has the same digest whichever way it arrives.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from models.errors import ZhuzhenError
from serving.archive.announced import UNANNOUNCED, Announced, identified
from serving.archive.arrivals import Arrival, Arrivals
from serving.archive.early import EarlyFile
from serving.archive.entries import (
    Entry,
    Quarantined,
    insert_quarantined,
    other_patient,
)
from serving.archive.errors import InstanceRefusedError, Refusal, StudyGoneError
from serving.archive.file_meta import file_meta, open_file
from serving.archive.header import Attributes, InstanceHeader, is_uid, read_instance_header
from serving.archive.indexing import Coming, insert_instances
from serving.archive.ledger import Ledger, Result
from serving.archive.patients import said_of_patient
from serving.archive.places import Places
from serving.faults import place_of
from serving.objects import ObjectStore, ObjectWriter, StoredObject
from serving.privacy import Keyring
from serving.records import is_out_of_space

_LOG = logging.getLogger("zhuzhen.archive")


class Kept(StrEnum):
    """What became of an instance that was accepted."""

    NEW = "new"
    SAME = "same"
    """It was here already, byte for byte."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an instance comes from."""

    institution: str
    source: str
    """Name of the sender: a calling AE title, or an account."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """An instance that is kept."""

    kept: Kept
    header: InstanceHeader
    digest: str
    """Where the object store has the file."""


class Durability(StrEnum):
    """What an instance outlives from the moment at which its sender is told that it is kept."""

    POWER_CUT = "power-cut"
    """A loss of power: the instance, with what the index is made of, is synced to disk."""
    PROCESS_END = "process-end"
    """A kill of the process at any moment; not a loss of power within the next minute, after which
    the system has written everything. What was lost then is found at the next start."""


TellApart = Callable[[Origin, str, Attributes], None]
"""Told, before something goes into quarantine, where it comes from, why (a `Refusal`), and what it
says of its patient."""


def _tell_nobody(*_: object) -> None:
    return None


class Archive:
    """The archive of one installation; may be used from many threads at once."""

    def __init__(
        self,
        engine: Engine,
        objects: ObjectStore,
        keyring: Keyring,
        *,
        durability: Durability = Durability.POWER_CUT,
        clock: Callable[[], float] = time.time,
        tell_apart: TellApart = _tell_nobody,
    ) -> None:
        self._tell_apart = tell_apart
        self.engine = engine
        self.objects = objects
        self.keyring = keyring
        self._clock = clock
        self._durability = durability
        self._ledger = Ledger(engine)
        self._places = Places()
        self._arrivals = Arrivals(
            engine, objects, keyring, self._ledger, self._places, self._insert, self._set_apart
        )
        self._closing = threading.Lock()
        self.refused_for_space = 0
        """How often there was no space, whichever way something came."""

    def close(self) -> None:
        """Finish what is being written."""
        with self._closing:
            self._arrivals.close()
            self._ledger.close()

    def recover(self) -> int:
        """Index what a process that ended had kept and not indexed yet; return how many.

        Raises:
            OSError, SQLAlchemyError: that is not possible now; it is tried again by `settle`.
        """
        return self._arrivals.adopt()

    def settle(self) -> None:
        """Index everything that was acknowledged before, by this process or another one.

        Raises:
            OSError, SQLAlchemyError: that is not possible now.
        """
        self._arrivals.settle_all()

    def settle_own(self) -> None:
        """Index everything that this process acknowledged before.

        Raises:
            OSError, SQLAlchemyError: that is not possible now.
        """
        self._arrivals.settle()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection to read everything by that was acknowledged before."""
        self.settle()
        with self.engine.connect() as connection:
            yield connection

    def begin(
        self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> EarlyFile:
        """Return what writes an instance while it arrives, to be given to `receive`."""
        return EarlyFile(self.objects, sop_class_uid, sop_instance_uid, transfer_syntax_uid)

    def receive(
        self,
        data_set: bytes | memoryview,
        transfer_syntax_uid: str,
        origin: Origin,
        announced: Announced = UNANNOUNCED,
        *,
        reopens: bool = True,
        behind: bool = False,
        early: EarlyFile | None = None,
    ) -> Receipt:
        """Keep the encoded `data_set`; on return it is kept.

        It is in the index, too, unless that may follow `behind`: then `reading` finds it. A new
        instance opens its study anew, unless it `reopens` nothing because this node made it.
        Into its `early` file, if any, the whole data set was written while it arrived.

        Raises:
            InstanceRefusedError: it is not kept in the archive; apart from want of space, it lies
                in quarantine with the reason.
        """
        try:
            header = read_instance_header(data_set, transfer_syntax_uid)
            announced.hold_against(header)
        except InstanceRefusedError as refused:
            self._quarantine(refused, data_set, transfer_syntax_uid, origin, announced)
            raise
        with (
            self._taking_space(header),
            self._written(early, header, transfer_syntax_uid, data_set) as writer,
        ):
            stored = writer.finish()
            entry = Entry(header, transfer_syntax_uid, stored, origin.institution, origin.source)
            return self._keep(entry, data_set, writer, reopens=reopens, behind=behind)

    def _keep(
        self,
        entry: Entry,
        data_set: bytes | memoryview,
        writer: ObjectWriter,
        *,
        reopens: bool,
        behind: bool,
    ) -> Receipt:
        # Results are made from what is durable, and must not be less so.
        synced = self._durability is Durability.POWER_CUT or not reopens
        arrival = self._arrivals.claim(writer, entry, self._clock(), reopens=reopens, synced=synced)
        try:
            known = self._arrivals.known(arrival, behind=behind)
            if known.digest is not None and self._has_otherwise(known.digest, entry, data_set):
                self._arrivals.let_go(arrival)
                writer.discard()
                return Receipt(Kept.SAME, entry.header, known.digest)
            writer.place(entry.stored)
            if synced:
                writer.sync()
            is_new = known.digest is None and not known.is_of_other_patient
            refused = self._arrivals.index([arrival]) if is_new and not behind else []
        except BaseException:
            self._arrivals.let_go(arrival)
            raise
        if refused:
            raise identified(refused[0], entry.header)
        if is_new:
            if behind:
                self._arrivals.add(arrival)
            return Receipt(Kept.NEW, entry.header, entry.stored.digest)
        self._arrivals.end([arrival])
        if known.digest == entry.stored.digest:
            return Receipt(Kept.SAME, entry.header, entry.stored.digest)
        why = other_patient() if known.is_of_other_patient else _conflict()
        self._set_apart(arrival, identified(why, entry.header))
        raise why

    def _has_otherwise(self, digest: str, entry: Entry, data_set: bytes | memoryview) -> bool:
        """Whether the known file of `digest` holds the same data set, and differs for all that:
        another version of this software wrote it.
        """
        if digest == entry.stored.digest:
            return False
        try:
            known = open_file(self.objects.get(digest))
        except ZhuzhenError:
            return False
        syntax = entry.transfer_syntax_uid
        return known.transfer_syntax_uid == syntax and known.data_set == memoryview(data_set)

    def _insert(self, connection: Connection, arrivals: Sequence[Arrival]) -> list[str | None]:
        coming = [Coming(each.entry, each.at, each.reopens) for each in arrivals]
        return insert_instances(connection, self.keyring, coming, self._places)

    def _set_apart(self, arrival: Arrival, why: Exception | None) -> InstanceRefusedError | None:
        """Note in the quarantine what cannot be in the index, by default for a conflict, and return
        what its sender is told.

        What this node made of a study that was erased meanwhile is forgotten.
        """
        entry = arrival.entry
        if isinstance(why, StudyGoneError):
            self.objects.delete(entry.stored.digest)
            return None
        if why is None:
            why = _conflict()
        elif not isinstance(why, InstanceRefusedError):
            _LOG.error("An instance that came cannot be indexed: %s", place_of(why))
            why = InstanceRefusedError(
                Refusal.NOT_UNDERSTOOD, "The header of the instance cannot be read for the index."
            )
        origin = Origin(entry.institution, entry.source)
        uid = entry.header.sop_instance_uid
        self._tell_apart(origin, why.refusal.value, entry.header.study)
        self._note(why, entry.stored, entry.transfer_syntax_uid, origin, uid)
        return why

    def quarantine(self, refused: InstanceRefusedError, data: bytes, origin: Origin) -> None:
        """Keep `data`, which is not even a DICOM file, apart from the archive."""
        self._quarantine(refused, data, "", origin, UNANNOUNCED)

    def write(self, write: Callable[[Connection], Result]) -> Result:
        """Run `write` in a transaction, with what others write at the same time; see `Ledger`."""
        return self._ledger.write(write)

    def submit(self, write: Callable[[Connection], Result]) -> Future[Result]:
        """As `write`, without waiting for it; the future is settled once it is on disk."""
        return self._ledger.submit(write)

    def open(self, digest: str) -> bytes:
        """Return the file of an instance, with its file meta information."""
        return self.objects.get(digest)

    def _quarantine(
        self,
        refused: InstanceRefusedError,
        data_set: bytes | memoryview,
        transfer_syntax_uid: str,
        origin: Origin,
        announced: Announced,
    ) -> None:
        uid = announced.sop_instance_uid or ""
        said = refused.said
        if said is None:
            said = said_of_patient(data_set, transfer_syntax_uid)
        self._tell_apart(origin, refused.refusal.value, said)
        with self._taking_space():
            with self.objects.writer() as writer:
                writer.write(data_set)
                stored = writer.commit()
            self._note(refused, stored, transfer_syntax_uid, origin, uid if is_uid(uid) else "")

    def _note(
        self,
        refused: InstanceRefusedError,
        stored: StoredObject,
        transfer_syntax_uid: str,
        origin: Origin,
        sop_instance_uid: str,
    ) -> None:
        quarantined = Quarantined(
            institution=origin.institution,
            source=origin.source,
            reason=refused.refusal.value,
            told=str(refused),
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            stored=stored,
        )
        self._ledger.write(
            lambda connection: insert_quarantined(connection, quarantined, self._clock())
        )

    def _written(
        self,
        early: EarlyFile | None,
        header: InstanceHeader,
        transfer_syntax_uid: str,
        data_set: bytes | memoryview,
    ) -> ObjectWriter:
        """Return what has written the file of an instance, to be placed."""
        writer = early.writer_for(header) if early else None
        if writer is None:
            writer = self.objects.writer()
            try:
                uids = header.sop_class_uid, header.sop_instance_uid
                writer.write(file_meta(*uids, transfer_syntax_uid))
                writer.write(data_set)
            except BaseException:
                writer.discard()
                raise
        return writer

    @contextlib.contextmanager
    def _taking_space(self, header: InstanceHeader | None = None) -> Iterator[None]:
        """Refuse, of both objects and index, what there is no space for.

        Raises:
            InstanceRefusedError: there is none; nothing of the instance is acknowledged.
        """
        try:
            yield
        except (OSError, SQLAlchemyError) as error:
            if not is_out_of_space(error):
                raise
            self.refused_for_space += 1
            refused = InstanceRefusedError(
                Refusal.OUT_OF_SPACE, "No space is left to keep instances; send it again later."
            )
            raise (refused if header is None else identified(refused, header)) from None


def _conflict() -> InstanceRefusedError:
    return InstanceRefusedError(
        Refusal.CONFLICT,
        "Another instance with this SOP Instance UID is known; this one is in quarantine.",
    )
