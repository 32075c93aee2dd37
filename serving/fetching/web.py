"""Fetching by QIDO-RS and WADO-RS (PS3.18 10.6 and 10.4)."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

from serving.archive import InstanceRefusedError
from serving.archive.entries import text_of
from serving.archive.file_meta import open_file
from serving.dicomweb.multipart import RELATED, PartReader, media_type_of
from serving.fetching.origin import Criteria, FoundStudy, Keep, ListedInstance, checked
from serving.peers import PeerError, WebServer
from serving.problems import Problem

_PAGE = 500
_MOST_STUDIES = 1000
_MOST_BYTES = 512 * 2**20
_JSON = {"Accept": "application/dicom+json"}
_AS_KEPT = {"Accept": f'{RELATED}; type="application/dicom"; transfer-syntax=*'}
_STUDY_FIELDS = ("00080020", "00081030", "00100020")


class WebOrigin:
    """A DICOMweb server as the origin of studies."""

    def __init__(self, server: WebServer, most_instances: int) -> None:
        self._server = server
        self._most = most_instances

    def find(self, wanted: Criteria) -> list[FoundStudy]:
        """Search for studies; see `Origin.find`."""
        given = {
            "StudyInstanceUID": wanted.study_uid,
            "AccessionNumber": wanted.accession_number,
            "PatientID": wanted.patient_id,
        }
        query = {name: value for name, value in given.items() if value}
        with self._server.client() as client:
            rows = list(self._pages(client, "/studies", query, _STUDY_FIELDS, _MOST_STUDIES))
        return [
            FoundStudy(
                text_of(row, "0020000D"),
                text_of(row, "00080020"),
                text_of(row, "00100020"),
                text_of(row, "00081030"),
            )
            for row in rows
        ]

    def list_instances(self, study_uid: str) -> list[ListedInstance]:
        """Search for the instances of a study; see `Origin.list_instances`."""
        path = f"/studies/{study_uid}/instances"
        with self._server.client() as client:
            rows = self._pages(client, path, {}, ("0020000E", "00080016"), self._most + 1)
            found = [
                ListedInstance(
                    text_of(row, "0020000E"), text_of(row, "00080018"), text_of(row, "00080016")
                )
                for row in rows
            ]
        return checked(found, self._most, self._server)

    def retrieve(self, study_uid: str, wanted: Sequence[ListedInstance], keep: Keep) -> None:
        """Retrieve instance by instance, over one connection; see `Origin.retrieve`."""
        with self._server.client() as client:
            for each in wanted:
                place = f"/studies/{study_uid}/series/{each.series_uid}"
                file = self._file(client, f"{place}/instances/{each.sop_instance_uid}")
                if file is None:
                    continue
                try:
                    opened = open_file(file)
                except InstanceRefusedError:
                    raise PeerError(
                        f"{self._server} sent something that is no DICOM file.", can_heal=False
                    ) from None
                keep(opened.data_set, opened.transfer_syntax_uid)

    def _pages(
        self,
        client: httpx.Client,
        path: str,
        query: Mapping[str, str],
        fields: Sequence[str],
        most: int,
    ) -> Iterator[dict[str, Any]]:
        """Yield the results of a search page by page; servers may give less than they are asked."""
        seen: set[str] = set()
        offset = 0
        while len(seen) < most:
            options = {"limit": str(_PAGE), "offset": str(offset), "includefield": ",".join(fields)}
            answer = client.get(path, params={**query, **options}, headers=_JSON)
            if answer.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
                return
            rows = self._rows(answer)
            new = {text_of(row, "00080018") or text_of(row, "0020000D"): row for row in rows}
            new = {uid: row for uid, row in new.items() if uid not in seen}
            # A server that does not know `offset` begins anew each time.
            if not new:
                return
            yield from new.values()
            seen |= set(new)
            offset += len(rows)

    def _rows(self, answer: httpx.Response) -> list[dict[str, Any]]:
        if not answer.is_success:
            raise self._server.failure(answer)
        try:
            rows = answer.json()
        except ValueError:
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise PeerError(
                f"{self._server} did not answer the search as PS3.18 says (a JSON array).",
                can_heal=False,
            )
        return rows

    def _file(self, client: httpx.Client, path: str) -> bytes | None:
        """Return the file of one instance, None where the server has it no more."""
        with client.stream("GET", path, headers=_AS_KEPT) as answer:
            if answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                return None
            if not answer.is_success:
                raise self._server.failure(answer)
            kind, parameters = media_type_of(answer.headers.get("content-type", ""))
            reader = PartReader(parameters.get("boundary", "-"), _MOST_BYTES, 1)
            parts: list[bytes] = []
            try:
                for piece in answer.iter_bytes():
                    parts += reader.feed(piece)
            except Problem:
                parts = []
        if kind != RELATED or len(parts) != 1:
            raise PeerError(
                f"{self._server} did not answer with one instance in {RELATED} (PS3.18 10.4.3).",
                can_heal=False,
            )
        return parts[0]
