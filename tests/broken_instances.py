"""Objects with bytes changed, and a plain C-STORE requester that sends any bytes.

`python -m tests.broken_instances COUNT` sends so many to a node of its own, each both ways.
"""

import contextlib
import os
import random
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

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
from serving.attached import attached_service
from serving.dimse.command import encode_command
from tests.instance_samples import encoded, instance
from tests.orthanc import free_port

_PATIENCE_S = 300.0
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


def request_unit(
    title: str, sop_class: UID = CTImageStorage, syntax: UID = ExplicitVRLittleEndian
) -> bytes:
    """An association request for one kind of images, as bytes."""
    context = build_context(sop_class, [syntax])
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


def store_command(sop_instance_uid: str = "1.2.3", sop_class: UID = CTImageStorage) -> bytes:
    """A data unit that announces an image by C-STORE."""
    uid, kind = sop_instance_uid.encode(), sop_class.encode()
    command = encode_command(
        {
            0x0002: kind + b"\0" * (len(kind) % 2),
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
def send_store(
    port: int,
    title: str,
    sop_class: UID = CTImageStorage,
    syntax: UID = ExplicitVRLittleEndian,
) -> Iterator[Callable[[Dataset, bytes], int]]:
    """Give what sends the bytes of a data set by C-STORE and returns the status.

    Raises:
        ConnectionError: the association was rejected, or ended in the middle.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as peer:
        peer.sendall(request_unit(title, sop_class, syntax))
        if _unit(peer)[0] != 2:
            raise ConnectionRefusedError("the association was rejected")

        def store(dataset: Dataset, data: bytes) -> int:
            peer.sendall(store_command(str(dataset.SOPInstanceUID), sop_class))
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
        if not piece:
            raise ConnectionResetError("the connection was closed")
        data += piece
    return data


ANSWERS = {
    f"C-STORE {status:04X}" for status in (0, 0xA700, 0xA900, 0xC000, 0xC111, 0xC112, 0x0122)
} | {f"STOW {status}" for status in (200, 202, 400, 409, 415)}
"""What may be answered to a mutant."""
_SENDERS = 4
_NODE = """
port: {port}
sources:
  - {{name: modality, institution: local, ae_title: MODALITY, quiet_time_s: 600}}
"""


def send_mutants(port: int, client: httpx.Client, *, seed: int, count: int) -> Counter[str]:
    """Send `count` mutants, each both ways, over one association and one connection."""
    samples = [instance(), instance(PatientName="王^小东", SpecificCharacterSet="GB18030")]
    answers: Counter[str] = Counter()
    with send_store(port, "MODALITY") as store:
        for dataset, data_set, file in mutants(samples, seed=seed, count=count):
            answers[f"C-STORE {store(dataset, data_set):04X}"] += 1
            answer = client.post(
                "/dicom-web/studies", content=file, headers={"Content-Type": "application/dicom"}
            )
            answers[f"STOW {answer.status_code}"] += 1
    return answers


def main() -> None:
    """Send mutants to a node of our own from several senders at once, and tell the answers."""
    count = int(sys.argv[1])
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        (home / "node.yaml").write_text(_NODE.format(port=port), encoding="utf-8")
        settings = {"ZHUZHEN_HOME": str(home), "ZHUZHEN_REQUESTS_PER_MINUTE": "1000000"}
        stack.enter_context(mock.patch.dict(os.environ, settings))
        log = stack.enter_context((home / "log").open("wb"))
        service = stack.enter_context(attached_service(log=log.fileno()))
        client = stack.enter_context(
            httpx.Client(
                base_url=service.url, headers=service.headers, timeout=_PATIENCE_S, trust_env=False
            )
        )
        pool = stack.enter_context(ThreadPoolExecutor(_SENDERS))
        sending = [
            pool.submit(send_mutants, port, client, seed=2026 + each, count=count // _SENDERS)
            for each in range(_SENDERS)
        ]
        answers = sum((each.result() for each in sending), Counter[str]())
        is_ready = client.get("/readyz").status_code == 200
        is_quiet = b"Traceback" not in (home / "log").read_bytes()
    for answer, found in sorted(answers.items()):
        sys.stdout.write(f"{answer}: {found}\n")
    as_expected = is_ready and is_quiet and set(answers) <= ANSWERS
    sys.stdout.write(f"{time.monotonic() - began:.0f} s, ready {is_ready}, quiet {is_quiet}\n")
    sys.exit(0 if as_expected else "something was not answered as it should be")


if __name__ == "__main__":
    main()
