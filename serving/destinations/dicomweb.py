"""Delivery to a DICOMweb server by STOW-RS (PS3.18 10.5)."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import httpx

from serving.destinations.destination import Destination, Outcome, State, all_with
from serving.destinations.dicom_file import DicomFile
from serving.peers import PeerError, WebServer

_MAX_REQUEST_BYTES = 32 * 2**20
"""Of the files in one request, unless one alone is larger: many servers hold it in memory."""

_REFERENCED_SOP_SEQUENCE = "00081199"
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_FAILURE_REASON = "00081197"


class WebDestination(Destination):
    """A STOW-RS origin server."""

    def __init__(self, server: WebServer) -> None:
        self._server = server

    def check(self) -> None:
        """Ask for one study by QIDO-RS (PS3.18 10.6)."""
        headers = {"Accept": "application/dicom+json"}
        answer = self._request("GET", "/studies", params={"limit": "1"}, headers=headers)
        if not answer.is_success:
            raise self._server.failure(answer)

    def deliver(self, files: Sequence[DicomFile]) -> tuple[Outcome, ...]:
        """Post all files, several in a request."""
        outcomes: list[Outcome] = []
        for batch in _batches(files):
            try:
                outcomes += self._store(batch)
            except PeerError as error:
                state = State.TRY_AGAIN if error.can_heal else State.REFUSED
                outcomes += all_with(batch, state, str(error))
        return tuple(outcomes)

    def _store(self, files: Sequence[DicomFile]) -> list[Outcome]:
        boundary = uuid.uuid4().hex
        body = _multipart(files, boundary)
        content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        headers = {"Content-Type": content_type, "Accept": "application/dicom+json"}
        answer = self._request("POST", "/studies", content=body, headers=headers)
        report = _report_of(answer)
        if report is None:
            if answer.status_code == HTTPStatus.OK:
                return list(all_with(files, State.DELIVERED, ""))
            raise self._server.failure(answer)
        return [self._outcome(file, report, answer) for file in files]

    def _outcome(self, file: DicomFile, report: dict[str, Any], answer: httpx.Response) -> Outcome:
        uid = file.sop_instance_uid
        failed = _items(report, _FAILED_SOP_SEQUENCE)
        if uid in failed:
            code = failed[uid]
            can_heal = code is not None and (0xA700 <= code <= 0xA7FF or code == 0x0110)
            told = "without a reason" if code is None else f"for reason {code:04X}H"
            reason = f"{self._server} refused it {told} (PS3.18 table I.2-2)."
            return Outcome(uid, State.TRY_AGAIN if can_heal else State.REFUSED, reason)
        stored = _items(report, _REFERENCED_SOP_SEQUENCE)
        if uid in stored or (answer.status_code == HTTPStatus.OK and not stored):
            return Outcome(uid, State.DELIVERED)
        if answer.is_success:
            return Outcome(uid, State.TRY_AGAIN, f"{self._server} did not confirm it.")
        raise self._server.failure(answer)

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._server.client() as client:
            return client.request(method, path, **options)


def _batches(files: Sequence[DicomFile]) -> list[list[DicomFile]]:
    batches: list[list[DicomFile]] = []
    size = 0
    for file in files:
        if not batches or size + len(file.data) > _MAX_REQUEST_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(file)
        size += len(file.data)
    return batches


def _multipart(files: Sequence[DicomFile], boundary: str) -> bytes:
    """Return the body of PS3.18 8.6.1.2: one part a file, as it is."""
    parts = []
    for file in files:
        parts += [f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(), file.data]
        parts.append(b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _report_of(answer: httpx.Response) -> dict[str, Any] | None:
    """Return the Store Instances Response Module, None where the answer holds none."""
    if "json" not in answer.headers.get("Content-Type", ""):
        return None
    try:
        report = answer.json()
    except ValueError:
        return None
    if isinstance(report, list) and report:
        report = report[0]
    is_report = isinstance(report, dict) and {_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE} & set(
        report
    )
    return report if is_report else None


def _items(report: dict[str, Any], sequence: str) -> dict[str, int | None]:
    """Return failure reasons (None where there is none) by SOP Instance UID."""
    found: dict[str, int | None] = {}
    for item in report.get(sequence, {}).get("Value", []):
        uids = item.get(_REFERENCED_SOP_INSTANCE_UID, {}).get("Value", [])
        reasons = item.get(_FAILURE_REASON, {}).get("Value", [])
        if uids:
            found[str(uids[0])] = int(reasons[0]) if reasons else None
    return found
