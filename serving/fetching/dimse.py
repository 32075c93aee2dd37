"""Fetching by C-FIND and C-MOVE or C-GET (PS3.4 annex C, Study Root)."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from itertools import groupby

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import StoragePresentationContexts, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at run time
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from serving.fetching.origin import Criteria, FoundStudy, Keep, ListedInstance, checked
from serving.imaging import READ_TRANSFER_SYNTAXES
from serving.peers import Peer, PeerError, associated, entity_of

FIND = StudyRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove
MOST_CLASSES = 126
"""Presentation contexts of one association, less one for C-GET itself (PS3.8 9.3.2)."""
UIDS_AT_ONCE = 100
_PENDING = (0xFF00, 0xFF01)
_ASKED_AT_MOST = 4
"""A series that is listed is believed to hold nothing after so many answers that say it."""


class DimseOrigin:
    """A query/retrieve SCP as the origin of studies."""

    def __init__(self, peer: Peer, most_instances: int, move_to: str | None) -> None:
        """`move_to` is our own AE title where C-MOVE is used, None for C-GET."""
        self._peer = peer
        self._most = most_instances
        self._move_to = move_to

    def find(self, wanted: Criteria) -> list[FoundStudy]:
        """Search for studies; see `Origin.find`."""
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.StudyInstanceUID = wanted.study_uid
        query.AccessionNumber = wanted.accession_number
        query.PatientID = wanted.patient_id
        query.StudyDate = query.StudyDescription = ""
        with self._finding() as association:
            return [
                FoundStudy(
                    _text(row, "StudyInstanceUID"),
                    _text(row, "StudyDate"),
                    _text(row, "PatientID"),
                    _text(row, "StudyDescription"),
                )
                for row in self._rows(association, query)
            ]

    def list_instances(self, study_uid: str) -> list[ListedInstance]:
        """Search for the series of a study, then for the instances of each."""
        found: list[ListedInstance] = []
        with self._finding() as association:
            series = _query("SERIES", study_uid, SeriesInstanceUID="")
            for row in list(self._rows(association, series)):
                series_uid = _text(row, "SeriesInstanceUID")
                images = _query("IMAGE", study_uid, SeriesInstanceUID=series_uid)
                images.SOPInstanceUID = images.SOPClassUID = ""
                found += [
                    ListedInstance(
                        series_uid, _text(each, "SOPInstanceUID"), _text(each, "SOPClassUID")
                    )
                    for each in self._some_rows(association, images)
                ]
        return checked(found, self._most, self._peer)

    def retrieve(self, study_uid: str, wanted: Sequence[ListedInstance], keep: Keep) -> None:
        """Have the instances sent, series by series; see `Origin.retrieve`."""
        with self._retrieving(wanted, keep) as association:
            by_series = sorted(wanted, key=lambda each: each.series_uid)
            for series_uid, group in groupby(by_series, key=lambda each: each.series_uid):
                uids = [each.sop_instance_uid for each in group]
                for first in range(0, len(uids), UIDS_AT_ONCE):
                    query = _query("IMAGE", study_uid, SeriesInstanceUID=series_uid)
                    query.SOPInstanceUID = uids[first : first + UIDS_AT_ONCE]
                    self._ask(association, query)

    def _finding(self) -> AbstractContextManager[Association]:
        entity = entity_of(self._peer)
        entity.add_requested_context(FIND)
        return associated(entity, self._peer)

    def _retrieving(
        self, wanted: Sequence[ListedInstance], keep: Keep
    ) -> AbstractContextManager[Association]:
        entity = entity_of(self._peer)
        if self._move_to is not None:
            entity.add_requested_context(MOVE)
            return associated(entity, self._peer)
        entity.add_requested_context(GET)
        classes = _classes_of(wanted)
        for sop_class in classes:
            entity.add_requested_context(sop_class, list(_SYNTAXES))

        def take(event: evt.Event) -> int:
            sent = event.request
            if not isinstance(sent, C_STORE) or not isinstance(sent.DataSet, BytesIO):
                return 0xC000
            keep(sent.DataSet.getbuffer(), str(event.context.transfer_syntax))
            return 0x0000

        return associated(
            entity,
            self._peer,
            handlers=[(evt.EVT_C_STORE, take)],
            roles=[build_role(sop_class, scp_role=True) for sop_class in classes],
        )

    def _rows(self, association: Association, query: Dataset) -> Iterator[Dataset]:
        for status, row in association.send_c_find(query, FIND):
            code = status.get("Status")
            if code in _PENDING and row is not None:
                yield row
            elif code != 0x0000:
                raise self._failure("C-FIND", code)

    def _some_rows(self, association: Association, query: Dataset) -> list[Dataset]:
        """Search for what has just been listed, again if it is said not to be there.

        DCMTK's archive under load answers one in a hundred such searches with no match.
        """
        rows: list[Dataset] = []
        for _ in range(_ASKED_AT_MOST):
            rows = rows or list(self._rows(association, query))
        return rows

    def _ask(self, association: Association, query: Dataset) -> None:
        """Have one part sent. Of single instances that fail, the caller sees that they are missing.

        Raises:
            PeerError: the PACS refused, or broke off.
        """
        if not association.is_established:
            raise PeerError(f"{self._peer} has ended the association.", can_heal=True)
        if self._move_to is not None:
            name, answers = "C-MOVE", association.send_c_move(query, self._move_to, MOVE)
        else:
            name, answers = "C-GET", association.send_c_get(query, GET)
        code: int | None = None
        for status, _ in answers:
            code = status.get("Status")
        # B000: sub-operations complete, with failures or warnings (PS3.4 table C.4-2).
        if code not in (0x0000, 0xB000):
            raise self._failure(name, code)

    def _failure(self, name: str, code: int | None) -> PeerError:
        if code is None:
            return PeerError(f"{self._peer} gave no answer to {name}.", can_heal=True)
        if code == _DESTINATION_UNKNOWN:
            return PeerError(
                f"{self._peer} does not know {self._move_to}, to which it should send. Register "
                "this node's AE title, address and port there, or fetch by c-get.",
                can_heal=False,
            )
        return PeerError(
            f"{self._peer} answered {name} with status {code:04X}H (PS3.4 annex C).",
            can_heal=code not in _REFUSED_FOR_GOOD,
        )


_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    *sorted(set(READ_TRANSFER_SYNTAXES) - {"1.2.840.10008.1.2.1"}),
)
_DESTINATION_UNKNOWN = 0xA801
_REFUSED_FOR_GOOD = (0x0122, 0x0124, 0xA900)
"""SOP class not supported, not authorised, identifier does not match (PS3.7 C, PS3.4 C.4)."""


def _classes_of(wanted: Sequence[ListedInstance]) -> list[UID]:
    """Return the SOP classes that are to come, or where that is not known, the usual ones."""
    told = {each.sop_class_uid for each in wanted}
    if "" in told or len(told) > MOST_CLASSES:
        usual = [str(context.abstract_syntax) for context in StoragePresentationContexts]
        told = set(usual[:MOST_CLASSES])
    return [UID(sop_class) for sop_class in sorted(told)]


def _query(level: str, study_uid: str, **keys: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    query.StudyInstanceUID = study_uid
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _text(row: Dataset, keyword: str) -> str:
    return str(row.get(keyword) or "").strip("\0 ")
