"""Objects with bytes changed, and a plain C-STORE requester that sends any bytes.

`python -m tests.broken_instances PORT HTTP_URL KEY COUNT` sends so many to a running node, each
both ways.
"""

import contextlib
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import httpx
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

from serving.archive.file_meta import file_meta
from serving.dimse.command import encode_command
from tests.instance_samples import encoded, instance

Mutant = tuple[Dataset, bytes, bytes]
"""The data set as it was, its bytes changed, and these as a file whose head may be changed, too."""


def mutants(samples: Sequence[Dataset], *, seed: int, count: int) -> Iterator[Mutant]:
    """Yield `count` objects with bytes changed, cut or added; the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        dataset = chance.choice(samples)
        data = bytearray(encoded(dataset))
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            _change(data, chance)
        meta = bytearray(
            file_meta(
                str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(ExplicitVRLittleEndian)
            )
        )
        if chance.random() < 0.3:
            _change(meta, chance)
        yield dataset, bytes(data), bytes(meta + data)


def _change(data: bytearray, chance: random.Random) -> None:
    if not data:
        return
    place = chance.randrange(len(data))
    kind = chance.randrange(5)
    if kind == 0:
        data[place] = chance.randrange(256)
    elif kind == 1:
        data[place] ^= 1 << chance.randrange(8)
    elif kind == 2:
        del data[place : place + chance.randint(1, 40)]
    elif kind == 3:
        data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 40)))
    else:
        data[place : place + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"SQ\0\0"))


def request_unit(title: str) -> bytes:
    """An association request for CT images, as bytes."""
    context = build_context(CTImageStorage, [ExplicitVRLittleEndian])
    context.context_id = 1
    request = A_ASSOCIATE()
    request.application_context_name = UID("1.2.840.10008.3.1.1.1")
    request.calling_ae_title, request.called_ae_title = title, "ZHUZHEN"
    longest = MaximumLengthNotification()
    longest.maximum_length_received = 16384
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID("1.2.3")
    request.user_information = [longest, implementation]
    request.presentation_context_definition_list = [context]
    return A_ASSOCIATE_RQ(request).encode()


def store_command(sop_instance_uid: str = "1.2.3") -> bytes:
    """A data unit that announces a CT image by C-STORE."""
    uid = sop_instance_uid.encode()
    command = encode_command(
        {
            0x0002: b"1.2.840.10008.5.1.4.1.1.2\0",
            0x0100: b"\x01\0",
            0x0110: b"\x01\0",
            0x0700: b"\0\0",
            0x0800: b"\0\0",
            0x1000: uid + b"\0" * (len(uid) % 2),
        }
    )
    return data_unit(command, control=3)


def data_unit(value: bytes, *, control: int) -> bytes:
    """A data unit with one value in presentation context 1."""
    length = len(value) + 2
    return struct.pack(">BxLLBB", 4, length + 4, length, 1, control) + value


@contextlib.contextmanager
def send_store(port: int, title: str) -> Iterator[Callable[[Dataset, bytes], int]]:
    """Give what sends the bytes of a data set by C-STORE and returns the status."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        peer.sendall(request_unit(title))
        assert _unit(peer)[0] == 2, "the association was rejected"

        def store(dataset: Dataset, data: bytes) -> int:
            peer.sendall(store_command(str(dataset.SOPInstanceUID)))
            for start in range(0, max(len(data), 1), 16000):
                last = start + 16000 >= len(data)
                peer.sendall(data_unit(data[start : start + 16000], control=2 if last else 0))
            kind, body = _unit(peer)
            assert kind == 4, f"a unit of type {kind} instead of an answer"
            place = body.index(b"\0\0\0\x09\x02\0\0\0")
            return int(struct.unpack_from("<H", body, place + 8)[0])

        yield store
        peer.sendall(b"\x05\0\0\0\0\x04\0\0\0\0")


def _unit(peer: socket.socket) -> tuple[int, bytes]:
    head = _exactly(peer, 6)
    return head[0], _exactly(peer, int.from_bytes(head[2:], "big"))


def _exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        assert piece, "the connection was closed"
        data += piece
    return data


def main() -> None:
    """Send mutants to a running node and print how often each status was answered."""
    port, url, key, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    samples = [instance(), instance(PatientName="王^小东", SpecificCharacterSet="GB18030")]
    statuses: Counter[str] = Counter()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/dicom"}
    with httpx.Client(headers=headers, timeout=60, trust_env=False) as client:
        with send_store(port, "MODALITY") as store:
            for dataset, data, file in mutants(samples, seed=2026, count=count):
                statuses[f"C-STORE {store(dataset, data):04X}"] += 1
                answer = client.post(f"{url}/dicom-web/studies", content=file)
                statuses[f"STOW {answer.status_code}"] += 1
        alive = client.get(f"{url}/readyz").status_code
    for status, found in sorted(statuses.items()):
        sys.stdout.write(f"{status}: {found}\n")
    sys.stdout.write(f"ready afterwards: {alive}\n")


if __name__ == "__main__":
    main()
