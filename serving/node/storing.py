"""What C-STORE does with an instance, and what the sender is told."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from sqlalchemy.exc import OperationalError

from serving.archive import Archive, InstanceRefusedError, Origin, Refusal
from serving.archive.announced import Announced
from serving.archive.archive import Kept
from serving.archive.header import Attributes
from serving.audit import AuditUnavailableError
from serving.dimse.association import TryLaterError
from serving.dimse.command import Status
from serving.dimse.reception import Answer, Incoming, Intake, Peer
from serving.faults import place_of
from serving.metrics import count_instance
from serving.node.counted import Counted
from serving.routing import Node, Source

_LOG = logging.getLogger("zhuzhen.node")
CONFLICT, OTHER_PATIENT = 0xC111, 0xC112
_STATUS: Mapping[Refusal, int] = {
    Refusal.NOT_UNDERSTOOD: Status.CANNOT_UNDERSTAND,
    Refusal.SYNTAX_NOT_READ: Status.CANNOT_UNDERSTAND,
    Refusal.NOT_AS_ANNOUNCED: Status.SOP_CLASS_MISMATCH,
    Refusal.CONFLICT: CONFLICT,
    Refusal.OTHER_PATIENT: OTHER_PATIENT,
    Refusal.OUT_OF_SPACE: Status.OUT_OF_RESOURCES,
}
"""PS3.4 table B.2-1. Conflicts are among the codes Cxxx that the provider may choose."""


class Admission(Protocol):
    """Who says whether a source may send, and keeps the record of it."""

    def admit(self, source: Source, address: str) -> bool:
        """Whether `source` may open an association and store instances.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """

    def turn_away(self, address: str, why: str) -> None:
        """Record that somebody was rejected; `why` is a machine name.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """

    def set_apart(self, origin: Origin, why: str, said: Attributes) -> None:
        """Record that something from `origin` goes into quarantine; see `TellApart`.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """


Count = Callable[[str, str], None]
"""Counts an instance, by way in and what became of it."""
Came = Callable[[Source, str, str | None], None]
"""Told what became of an instance of a source, and of which study it is, if it is a new one."""


class Storing:
    """The handler of the DICOM listener."""

    def __init__(
        self,
        archive: Archive,
        admission: Admission,
        node: Node,
        wake: Callable[[], None],
        count: Count = count_instance,
        *,
        all_here: Callable[[], None] | None = None,
    ) -> None:
        """`wake` is told when an association has ended that brought something, `all_here` (by
        default `wake`) before that when as many instances of a study came as were expected.
        """
        self._archive = archive
        self._admission = admission
        self._node = node
        self._wake = wake
        self._count = count
        self._all_here = all_here or wake
        self._counted = Counted()

    def admit(self, peer: Peer) -> bool:
        """Whether the caller may open an association.

        Raises:
            TryLaterError: it cannot be recorded that it does.
        """
        source = self._node.source_called(peer.ae_title)
        try:
            return source is not None and self._admission.admit(source, peer.address)
        except AuditUnavailableError as error:
            raise TryLaterError(str(error)) from error

    def reject(self, peer: Peer, why: str) -> None:
        """Record a rejected connection or association."""
        try:
            self._admission.turn_away(peer.address, why)
        except AuditUnavailableError:
            # Nothing was opened or done; the caller is told so already.
            _LOG.error("A rejected association could not be recorded (%s)", why)

    def receive(self, incoming: Incoming) -> Intake:
        """Return what takes in an instance that begins to arrive."""
        source = self._node.source_called(incoming.peer.ae_title)
        return InstanceIntake(self._archive, source, incoming, self._came)

    def _came(self, source: Source, outcome: str, study_uid: str | None) -> None:
        self._count("c-store", outcome)
        if study_uid is not None and self._counted.is_last(source, study_uid):
            self._all_here()

    def leave(self, peer: Peer, stored: int, why: str) -> None:
        """An association ended: what it brought may be complete now."""
        if stored:
            self._wake()


class InstanceIntake:
    """Takes one instance of `source` into the archive."""

    def __init__(
        self, archive: Archive, source: Source | None, incoming: Incoming, came: Came
    ) -> None:
        self._came = came
        self._archive = archive
        self._source = source
        self._incoming = incoming
        self._file = archive.begin(
            incoming.sop_class_uid, incoming.sop_instance_uid, incoming.transfer_syntax_uid
        )

    @property
    def head(self) -> bytes:
        """The file meta information."""
        return self._file.head

    def add(self, content: memoryview) -> None:
        """Write what has come."""
        if self._source is not None:
            self._file.add(content)

    def store(self, content: memoryview) -> Answer:
        """Keep the instance."""
        if self._source is None:
            return Answer(Status.NOT_AUTHORIZED)
        incoming = self._incoming
        try:
            receipt = self._archive.receive(
                content[len(self._file.head) :],
                incoming.transfer_syntax_uid,
                Origin(self._source.institution, self._source.name),
                Announced(incoming.sop_class_uid, incoming.sop_instance_uid),
                behind=True,
                early=self._file,
            )
        except InstanceRefusedError as refused:
            self._came(self._source, refused.refusal.value, None)
            return Answer(_STATUS[refused.refusal], str(refused))
        except AuditUnavailableError as error:
            # It would lie in quarantine now, which could not be recorded.
            return Answer(Status.OUT_OF_RESOURCES, str(error))
        except OperationalError as error:
            _LOG.error("The database cannot be used: %s", place_of(error))
            return Answer(Status.OUT_OF_RESOURCES, "The index cannot be used now; send it again")
        is_new = receipt.kept is Kept.NEW
        self._came(self._source, receipt.kept.value, receipt.header.study_uid if is_new else None)
        return Answer(Status.SUCCESS)

    def close(self) -> None:
        """Forget what was not stored."""
        self._file.close()
