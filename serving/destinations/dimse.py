"""Delivery to a PACS by C-STORE (PS3.4 annex B), proposing only what is sent."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from serving.destinations.destination import Destination, Outcome, State, all_with
from serving.destinations.dicom_file import DicomFile
from serving.peers import Peer, PeerError, associated, entity_of

# The documented way to have files sent as they are, piece by piece, instead of decoded and encoded.
_config.STORE_SEND_CHUNKED_DATASET = True

_MOST_CONTEXTS = 128
"""Presentation contexts of one association (PS3.8 9.3.2: odd numbers to 255)."""


class DimseDestination(Destination):
    """A storage SCP."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def check(self) -> None:
        """Send a C-ECHO (PS3.4 annex A)."""
        entity = entity_of(self._peer)
        entity.add_requested_context(Verification)
        with associated(entity, self._peer) as association:
            status = association.send_c_echo()
            if status.get("Status") != 0x0000:
                raise PeerError(f"{self._peer} did not answer C-ECHO.", can_heal=True)

    def deliver(self, files: Sequence[DicomFile]) -> tuple[Outcome, ...]:
        """Send all files over as few associations as their kinds allow."""
        outcomes: list[Outcome] = []
        waiting = list(files)
        while waiting:
            entity, now = self._proposing(waiting)
            del waiting[: len(now)]
            sent: list[Outcome] = []
            try:
                with associated(entity, self._peer) as association:
                    for file in now:
                        sent.append(self._store(association, file))
            except PeerError as error:
                state = State.TRY_AGAIN if error.can_heal else State.REFUSED
                sent += all_with(now[len(sent) :], state, str(error))
            outcomes += sent
        return tuple(outcomes)

    def _proposing(self, files: Sequence[DicomFile]) -> tuple[AE, list[DicomFile]]:
        """Return an entity that proposes what the first of `files` need, and those files."""
        entity, now = entity_of(self._peer), list[DicomFile]()
        proposed: set[tuple[str, str]] = set()
        for file in files:
            wanted = {(file.sop_class_uid, syntax) for syntax in _syntaxes_of(file)} - proposed
            if len(proposed | wanted) > _MOST_CONTEXTS:
                break
            # A context each: in one with several the other side would choose, and choose one that
            # the file is not in.
            for sop_class, syntax in sorted(wanted, reverse=True):
                entity.add_requested_context(sop_class, syntax)
            proposed |= wanted
            now.append(file)
        return entity, now

    def _store(self, association: Association, file: DicomFile) -> Outcome:
        if not association.is_established:
            raise PeerError(f"{self._peer} has ended the association.", can_heal=True)
        accepted = {
            str(context.transfer_syntax[0])
            for context in association.accepted_contexts
            if context.abstract_syntax == file.sop_class_uid
        }
        if not accepted & set(_syntaxes_of(file)):
            reason = (
                f"{self._peer} takes no {file.sop_class_uid.name} in "
                f"{file.transfer_syntax_uid.name}. Allow it there, or leave it out here."
            )
            return Outcome(file.sop_instance_uid, State.REFUSED, reason)
        data = file.data if file.transfer_syntax_uid in accepted else _in_implicit(file)
        with _as_path(data) as path:
            answer = association.send_c_store(path)
        return self._outcome(file, answer.get("Status"))

    def _outcome(self, file: DicomFile, status: int | None) -> Outcome:
        uid = file.sop_instance_uid
        if status is None:
            raise PeerError(f"{self._peer} gave no answer to C-STORE.", can_heal=True)
        # Success, and warnings: the object is stored (PS3.4 B.2.3).
        if status == 0x0000 or 0xB000 <= status <= 0xBFFF:
            return Outcome(uid, State.DELIVERED)
        reason = f"{self._peer} answered C-STORE with status {status:04X}H ({_meaning(status)})."
        can_heal = 0xA700 <= status <= 0xA7FF
        return Outcome(uid, State.TRY_AGAIN if can_heal else State.REFUSED, reason)


def _meaning(status: int) -> str:
    """Return what a failure of C-STORE means (PS3.4 table B.2-1, PS3.7 annex C)."""
    if 0xA700 <= status <= 0xA7FF:
        return "out of resources"
    if 0xA900 <= status <= 0xA9FF:
        return "data set does not match SOP class"
    if 0xC000 <= status <= 0xCFFF:
        return "cannot understand"
    return {0x0122: "SOP class not supported", 0x0124: "not authorised"}.get(status, "failure")


def _syntaxes_of(file: DicomFile) -> tuple[str, ...]:
    """Return the transfer syntaxes that `file` can be sent in: its own, and the one all must know.

    Implicit VR Little Endian is what every entity has to accept (PS3.5 10.1); an uncompressed file
    is turned into it where the other side takes nothing else.
    """
    if file.transfer_syntax_uid == ExplicitVRLittleEndian:
        return str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)
    return (str(file.transfer_syntax_uid),)


def _in_implicit(file: DicomFile) -> bytes:
    dataset = pydicom.dcmread(BytesIO(file.data))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=True, little_endian=True)
    return stream.getvalue()


@contextmanager
def _as_path(data: bytes) -> Iterator[Path]:
    """Give the bytes a path, in memory where the system can: patients' data touch no disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("dicom")
        try:
            with os.fdopen(os.dup(descriptor), "wb") as stream:
                stream.write(data)
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    with NamedTemporaryFile(suffix=".dcm") as stream:
        stream.write(data)
        stream.flush()
        yield Path(stream.name)
