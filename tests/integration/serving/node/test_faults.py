"""What breaks in a hospital's network, and what is done to a listener that strangers can reach."""

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from serving.dimse.config import Caller, DimseConfig
from serving.dimse.listener import Listener
from serving.dimse.reception import Answer, Incoming, Peer
from tests.broken_instances import (
    ANSWERS,
    data_unit,
    request_unit,
    send_mutants,
    send_store,
    store_command,
)
from tests.dicom_samples import PYDICOM_DATA_FILES, PYDICOM_FILES
from tests.instance_samples import encoded, instance
from tests.integration.serving.node.conftest import RunningNode

STATUSES = {200, 202, 400, 409, 415}


class Shelf:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.rejected: list[str] = []
        self.left: list[str] = []
        self.closed = 0

    def admit(self, peer: Peer) -> bool:
        return True

    def reject(self, peer: Peer, why: str) -> None:
        self.rejected.append(why)

    def receive(self, incoming: Incoming) -> "Place":
        return Place(self)

    def leave(self, peer: Peer, stored: int, why: str) -> None:
        self.left.append(why)


class Place:
    """Takes one instance, and holds what has come against the whole."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.head = b"what stands before"
        self.so_far = self.head

    def add(self, content: memoryview) -> None:
        assert len(content) > len(self.so_far)
        assert content[: len(self.so_far)] == self.so_far
        self.so_far = bytes(content)

    def store(self, content: memoryview) -> Answer:
        assert content == self.so_far
        self.shelf.kept.append(bytes(content[len(self.head) :]))
        return Answer(0)

    def close(self) -> None:
        self.shelf.closed += 1


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def listener(shelf: Shelf) -> Iterator[Listener]:
    config = DimseConfig(
        port=0,
        callers=(Caller("SCU"),),
        max_associations=3,
        association_timeout_s=0.5,
        idle_timeout_s=1.0,
        message_timeout_s=2.0,
        max_instance_bytes=100_000,
    )
    with Listener(config, shelf) as found:
        yield found


def associate(port: int) -> "object":
    entity = AE("SCU")
    entity.add_requested_context(CTImageStorage, [ExplicitVRLittleEndian])
    return entity.associate("127.0.0.1", port, ae_title="ZHUZHEN")


def open_raw(port: int) -> socket.socket:
    """A connection with an accepted association."""
    found = socket.create_connection(("127.0.0.1", port), timeout=10)
    found.sendall(request_unit("SCU"))
    assert found.recv(4096)[0] == 2
    return found


def still_serves(port: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        association = associate(port)
        if association.is_established:  # type: ignore[attr-defined]
            association.release()  # type: ignore[attr-defined]
            return True
        time.sleep(0.1)
    return False


def test_a_flood_is_told_to_come_back_later(listener: Listener, shelf: Shelf) -> None:
    held = [open_raw(listener.port) for _ in range(3)]
    refused = socket.create_connection(("127.0.0.1", listener.port), timeout=10)
    refused.sendall(request_unit("SCU"))
    answer = refused.recv(100)
    # A-ASSOCIATE-RJ, transient, presentation provider, local limit exceeded (PS3.8 table 9-21).
    assert (answer[0], *answer[7:10]) == (3, 2, 3, 2)
    silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(100)]
    for each in (*held, refused, *silent):
        each.close()
    assert still_serves(listener.port)
    assert "too_many" in shelf.rejected


def test_silent_and_slow_senders_are_given_up(listener: Listener) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as silent:
        assert silent.recv(10) == b""
    # A byte now and then is not silence, but a message has a time within which it must come.
    with open_raw(listener.port) as slow:
        slow.settimeout(0.3)
        slow.sendall(store_command())
        began = time.monotonic()
        ended = False
        while not ended and time.monotonic() < began + 20:
            try:
                slow.sendall(b"\x04")
                ended = slow.recv(10) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
    assert ended
    assert still_serves(listener.port)


def test_an_abort_in_mid_transfer_keeps_nothing(listener: Listener, shelf: Shelf) -> None:
    raw = open_raw(listener.port)
    raw.sendall(store_command())
    raw.sendall(data_unit(bytes(1000), control=0))
    raw.sendall(b"\x07\0\0\0\0\x04\0\0\0\0")
    raw.close()
    assert still_serves(listener.port)
    assert shelf.kept == []
    assert any("in the middle" in why for why in shelf.left)


def test_a_data_set_that_is_too_large_is_refused_and_the_next_one_is_not(
    listener: Listener, shelf: Shelf
) -> None:
    large, small = instance(PixelData=bytes(200_000)), instance()
    with send_store(listener.port, "SCU") as store:
        assert store(large, encoded(large)) == 0xA700
        assert store(small, encoded(small)) == 0
    assert shelf.kept == [encoded(small)]


@pytest.mark.parametrize("seed", range(40))
def test_bytes_that_are_no_protocol_end_their_own_connection_alone(
    listener: Listener, seed: int
) -> None:
    chance = random.Random(seed)
    unit = bytearray(request_unit("SCU"))
    for _ in range(chance.randint(1, 8)):
        unit[chance.randrange(len(unit))] = chance.randrange(256)
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as raw:
        raw.sendall(bytes(unit))
        raw.settimeout(5)
        try:
            while raw.recv(4096):
                raw.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    if seed % 10 == 0:
        assert still_serves(listener.port)


def broken_files() -> list[Path]:
    folders = (PYDICOM_FILES, PYDICOM_DATA_FILES)
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in found if path.stat().st_size < 1_500_000)


def test_every_file_of_pydicom_is_answered(node: RunningNode) -> None:
    unlike = []
    with node.client() as client:
        for path in broken_files():
            answer = client.post(
                "/dicom-web/studies",
                content=path.read_bytes(),
                headers={"Content-Type": "application/dicom"},
            )
            if answer.status_code not in STATUSES:
                unlike.append((path.name, answer.status_code))
        assert client.get("/livez").status_code == 200
    assert not unlike


def test_mutants_are_answered_whichever_way_they_come(node: RunningNode) -> None:
    with node.client() as client:
        answers = send_mutants(node.dimse_port, client, seed=6, count=60)
        assert set(answers) <= ANSWERS
        assert answers.total() == 120
        assert client.get("/readyz").status_code == 200
    assert "Traceback" not in node.log.read_text()
