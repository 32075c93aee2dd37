"""Receiving: C-STORE beside DCMTK's storescp and Orthanc, STOW-RS beside Orthanc."""

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Section, Target
from benchmarks.instances import Collection, make_collections
from benchmarks.receivers import (
    DCMTK,
    ORTHANC,
    UNSYNCED,
    ZHUZHEN,
    Receiver,
    dcmtk_program,
    open_receivers,
)
from benchmarks.rounds import Contender, Samples, Spread, ratio, take_turns

_MANY = 8
_ROUNDS = 3
"""At most: a round of the CT slices takes half a minute."""
_TOGETHER = 20
"""Instances in one STOW request."""
_LEAST_OF_DCMTK = Target(Bound.AT_LEAST, 0.7)
_FASTER = Target(Bound.MORE_THAN, 1.0)
_AS_FAST = Target(Bound.AT_LEAST, 1.0)
_METHOD = (
    "DCMTK's storescu sends the same files to each receiver over loopback, in one association or "
    f"in {_MANY} at once with an equal share each, with data units of 128 KiB and TCP_NODELAY on "
    "both sides of DCMTK, which without it waits 40 ms for each instance. Instances a second from "
    "the start of the senders to the end of the last one. Every round sends new UIDs. STOW-RS: "
    f"{_TOGETHER} instances in a request, one request after the other.",
    "What success means differs. zhuzhen encrypts each instance and checks it to its end; by "
    "default it says success when the instance is synced to disk, and with `durability: "
    "process-end` when it is in the hands of the system, so that it outlives a kill of the process "
    "and not a loss of power. storescp writes the file and leaves the rest to the system, as the "
    "latter. Orthanc runs with its settings as they come: files are synced, its index is not.",
)


def measure(bench: Bench) -> Section:
    """Measure how fast instances are received."""
    rounds = min(bench.effort.slow_rounds, _ROUNDS)
    ratios: list[Figure] = []
    absolutes: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for collection in make_collections(Path(folder), few=bench.effort.rounds <= 2):
            # A folder that nobody used before: keys of a home are read once a process.
            with open_receivers(collection.folder.with_suffix(".receivers")) as receivers:
                for associations in (1, _MANY):
                    found = take_turns(_storing(receivers, collection, associations), rounds)
                    plural = "s" * (associations > 1)
                    name = f"{collection.name}, {associations} association{plural}"
                    ratios += _c_store_ratios(name, found)
                    absolutes += _rates(name, found)
                found = take_turns(_stowing(receivers, collection), rounds)
                name = f"{collection.name}, STOW-RS"
                ratios += _ratios(name, found, {ORTHANC: _AS_FAST})
                absolutes += _rates(name, found)
    return Section("receiving", "Receiving instances", _METHOD, tuple(ratios), tuple(absolutes))


def _c_store_ratios(name: str, found: Samples) -> list[Figure]:
    return _ratios(name, found, {DCMTK: _LEAST_OF_DCMTK, ORTHANC: _FASTER})


def _ratios(name: str, found: Samples, targets: dict[str, Target]) -> list[Figure]:
    return [
        Figure(f"{name}: {ours} / {peer}", ratio(found, ours, peer), "x", target)
        for peer, target in targets.items()
        if peer in found
        for ours in (ZHUZHEN, UNSYNCED)
    ]


def _rates(name: str, found: Samples) -> list[Figure]:
    return [
        Figure(f"{name}: {peer}", Spread.of(rates), "instances/s") for peer, rates in found.items()
    ]


def _storing(
    receivers: Sequence[Receiver], collection: Collection, associations: int
) -> dict[str, Contender]:
    def contender(receiver: Receiver) -> Contender:
        def turn() -> float:
            files = collection.renewed()
            started = time.perf_counter()
            _send(receiver, files, associations)
            return len(files) / (time.perf_counter() - started)

        return turn

    return {each.name: contender(each) for each in receivers}


def _send(receiver: Receiver, files: Sequence[Path], associations: int) -> None:
    program = [
        dcmtk_program("storescu"),
        *("--max-send-pdu", "131072", "-aet", "BENCH", "-aec", receiver.ae_title),
        *("127.0.0.1", str(receiver.port)),
    ]
    senders = [
        subprocess.Popen(
            [*program, *map(str, files[number::associations])],
            env={"TCP_NODELAY": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(min(associations, len(files)))
    ]
    # All are waited for, whatever the first ones say.
    statuses = [sender.wait() for sender in senders]
    if any(statuses):
        raise RuntimeError(f"{receiver.name} did not take every instance")


def _stowing(receivers: Sequence[Receiver], collection: Collection) -> dict[str, Contender]:
    def contender(receiver: Receiver) -> Contender:
        def turn() -> float:
            bodies = _bodies(collection.renewed())
            with httpx.Client(timeout=120, trust_env=False) as client:
                started = time.perf_counter()
                for body in bodies:
                    _stow(client, receiver, body)
                return collection.count / (time.perf_counter() - started)

        return turn

    return {each.name: contender(each) for each in receivers if each.stow is not None}


def _bodies(files: Sequence[Path]) -> list[bytes]:
    head = b"--bench\r\nContent-Type: application/dicom\r\n\r\n"
    return [
        b"".join(head + file.read_bytes() + b"\r\n" for file in files[first : first + _TOGETHER])
        + b"--bench--\r\n"
        for first in range(0, len(files), _TOGETHER)
    ]


def _stow(client: httpx.Client, receiver: Receiver, body: bytes) -> None:
    answer = client.post(
        str(receiver.stow),
        content=body,
        headers={
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=bench',
            "Accept": "application/dicom+json",
            **receiver.headers,
        },
    )
    if answer.status_code != 200:
        raise RuntimeError(f"{receiver.name} answered STOW-RS with {answer.status_code}")
