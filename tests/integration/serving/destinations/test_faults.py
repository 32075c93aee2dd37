"""What a destination does that is away, full, picky or broken, and what we say of it."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from serving.destinations import (
    DeliveryError,
    DestinationSettingError,
    DicomFile,
    NotADicomFileError,
    State,
    destination_of,
)
from serving.peers import Peer, PeerError, associated, entity_of
from serving.results import ResultKind
from tests.orthanc import free_port
from tests.result_samples import PNEUMONIA, read, results_on

KINDS = (SecondaryCaptureImageStorage, Comprehensive3DSRStorage)


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    results = results_on(read(PNEUMONIA))
    return [results[kind].data for kind in (ResultKind.CAPTURE, ResultKind.REPORT)]


@contextmanager
def scp(
    *,
    status: int | Callable[[Any], int] = 0x0000,
    kinds: Sequence[str] = KINDS,
    syntaxes: Sequence[str] = (ExplicitVRLittleEndian,),
    seen: list[Any] | None = None,
    known_titles: Sequence[str] = (),
) -> Iterator[str]:
    """A storage SCP that answers every C-STORE as `status` says; gives its address."""
    entity = AE("PACS")
    entity.require_calling_aet = list(known_titles)
    for kind in kinds:
        entity.add_supported_context(kind, list(syntaxes))

    def store(event: Any) -> int:
        if seen is not None:
            seen.append(event)
        return status(event) if callable(status) else status

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    assert server is not None
    assert server.socket is not None
    try:
        yield f"PACS@127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()


def failure(address: str, files: list[bytes], **entry: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        destination_of({"to": address, "timeout_s": 3, **entry}).send(files)
    return caught.value


def test_what_is_sent_does_not_wait_for_the_acknowledgement_of_what_was_sent_before() -> None:
    with scp() as address:
        peer = Peer("PACS", "127.0.0.1", int(address.rpartition(":")[2]))
        entity = entity_of(peer)
        entity.add_requested_context(KINDS[0])
        with associated(entity, peer) as association:
            connection = association.dul.socket
            assert connection is not None
            assert connection.socket is not None
            assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_only_what_is_sent_is_proposed_and_the_bytes_are_the_files(files: list[bytes]) -> None:
    seen: list[Any] = []
    with scp(seen=seen) as address:
        destination_of({"to": address}).send(files)

    proposed = seen[0].assoc.requestor.requested_contexts
    assert {context.abstract_syntax for context in proposed} == set(KINDS)
    assert {context.transfer_syntax[0] for context in proposed} == {
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    }
    assert [event.request.DataSet.getvalue() for event in seen] == [
        file[-len(event.request.DataSet.getvalue()) :]
        for event, file in zip(seen, files, strict=True)
    ]


def test_a_destination_that_knows_implicit_alone_gets_that(files: list[bytes]) -> None:
    seen: list[Any] = []
    with scp(seen=seen, syntaxes=[ImplicitVRLittleEndian]) as address:
        destination_of({"to": address}).send(files)

    assert [event.context.transfer_syntax for event in seen] == [ImplicitVRLittleEndian] * 2
    assert seen[1].dataset.ContentSequence


def test_what_one_kind_lacks_the_others_still_get(files: list[bytes]) -> None:
    with scp(kinds=[SecondaryCaptureImageStorage]) as address:
        outcomes = destination_of({"to": address}).deliver([DicomFile.of(file) for file in files])

    assert [outcome.state for outcome in outcomes] == [State.DELIVERED, State.REFUSED]
    assert "takes no Comprehensive 3D SR Storage" in outcomes[1].reason


@pytest.mark.parametrize(
    ("status", "can_heal", "told"),
    [
        (0xA700, True, "A700H (out of resources)"),
        (0xA900, False, "A900H (data set does not match SOP class)"),
        (0xC001, False, "C001H (cannot understand)"),
        (0x0124, False, "0124H (not authorised)"),
    ],
)
def test_status_says_whether_to_try_again(
    files: list[bytes], status: int, can_heal: bool, told: str
) -> None:
    with scp(status=status) as address:
        error = failure(address, files)
    assert error.can_heal is can_heal
    assert told in str(error)


def test_coercion_is_a_success(files: list[bytes]) -> None:
    with scp(status=0xB000) as address:
        destination_of({"to": address}).send(files)


def test_abort_in_mid_delivery_can_heal_and_says_what_was_taken(files: list[bytes]) -> None:
    def abort_at_the_second(event: Any) -> int:
        if event.request.AffectedSOPClassUID == Comprehensive3DSRStorage:
            event.assoc.abort()
        return 0x0000

    with scp(status=abort_at_the_second) as address:
        destination = destination_of({"to": address, "timeout_s": 3})
        outcomes = destination.deliver([DicomFile.of(file) for file in files])

    assert [outcome.state for outcome in outcomes] == [State.DELIVERED, State.TRY_AGAIN]


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_nobody_there_can_heal(files: list[bytes]) -> None:
    for address in (f"PACS@127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}/dicom-web"):
        error = failure(address, files)
        assert error.can_heal
        assert "cannot be reached" in str(error)
        with pytest.raises(PeerError):
            destination_of({"to": address, "timeout_s": 3}).check()


def test_unknown_calling_title_is_for_somebody_to_mend(files: list[bytes]) -> None:
    with scp(known_titles=["CT1"]) as address:
        error = failure(address, files)
        destination_of({"to": address, "calling_ae_title": "CT1"}).send(files)
    assert not error.can_heal
    assert "rejects the association of ZHUZHEN" in str(error)


def test_nothing_that_it_takes_is_told_as_such(files: list[bytes]) -> None:
    with scp(kinds=[SegmentationStorage]) as address:
        error = failure(address, files)
    assert not error.can_heal
    assert "takes none of the SOP classes" in str(error)


@contextmanager
def web(status: int, body: bytes = b"", kind: str = "application/dicom+json") -> Iterator[str]:
    """A DICOMweb server that answers every POST with the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "can_heal"),
    [(503, True), (429, True), (507, True), (401, False), (409, False), (413, False), (415, False)],
)
def test_http_status_says_whether_to_try_again(
    files: list[bytes], status: int, can_heal: bool
) -> None:
    with web(status) as address:
        error = failure(address, files)
    assert error.can_heal is can_heal
    assert str(status) in str(error)


def test_partial_store_tells_each_object_its_own(files: list[bytes]) -> None:
    parsed = [DicomFile.of(file) for file in files]
    uids: list[dict[str, Any]] = [
        {"00081155": {"vr": "UI", "Value": [file.sop_instance_uid]}} for file in parsed
    ]
    uids[1]["00081197"] = {"vr": "US", "Value": [0xC000]}
    report = {
        "00081199": {"vr": "SQ", "Value": uids[:1]},
        "00081198": {"vr": "SQ", "Value": uids[1:]},
    }
    with web(202, json.dumps(report).encode()) as address:
        outcomes = destination_of({"to": address}).deliver(parsed)
    assert [outcome.state for outcome in outcomes] == [State.DELIVERED, State.REFUSED]
    assert "C000H" in outcomes[1].reason


def test_success_that_confirms_nothing_is_not_believed(files: list[bytes]) -> None:
    with web(202, b'{"00081199":{"vr":"SQ","Value":[]}}') as address:
        assert failure(address, files).can_heal


def test_folder_holds_each_object_once_and_complete(tmp_path: Path, files: list[bytes]) -> None:
    destination = destination_of({"to": "folder:out"}, tmp_path)
    destination.check()
    destination.send(files)
    destination.send(files)
    assert sorted(path.read_bytes() for path in (tmp_path / "out").iterdir()) == sorted(files)


def test_folder_that_cannot_be_written_can_heal(tmp_path: Path, files: list[bytes]) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    assert failure(f"folder:{tmp_path / 'out'}", files).can_heal


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"to": "PACS:104"}, "expected AE_TITLE@host:port"),
        ({"to": "PACS@host:99999"}, "expected AE_TITLE@host:port"),
        ({"to": "A_TITLE_THAT_IS_TOO_LONG@host:104"}, "expected AE_TITLE@host:port"),
        ({"to": "PACS@host:104", "color": "red"}, "'color', which is not known"),
        ({"to": "PACS@host:104", "timeout_s": -1}, "timeout_s is -1"),
        ({"to": "https://pacs", "bearer_token_file": "nowhere"}, "bearer_token_file names no file"),
        ({"to": "PACS@host:104", "ca_file": "nowhere"}, "ca_file names no file"),
    ],
)
def test_wrong_entry_is_told_by_key(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(DestinationSettingError, match="Destination archive") as caught:
        destination_of({"name": "archive", **entry})
    assert told in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\0" * 128 + b"DICM", PNEUMONIA[128:], b"DICM" * 100])
def test_what_is_no_file_is_not_sent(data: bytes) -> None:
    with pytest.raises(NotADicomFileError):
        DicomFile.of(data)
