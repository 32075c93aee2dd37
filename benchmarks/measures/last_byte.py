"""From the last byte of a radiograph to its results in the PACS."""

import io
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
from pydicom.uid import generate_uid
from sqlalchemy import select

from benchmarks.bench import Bench, open_session
from benchmarks.figures import Figure, Section
from benchmarks.receivers import dcmtk_program, orthanc, zhuzhen_node
from benchmarks.relay import Relay, Turn
from benchmarks.rounds import Spread
from serving.archive.tables import STUDIES
from serving.jobs.tables import JOBS, PRE_READS
from serving.records import database_url, open_engine

_MANY, _FEW = 100, 3
_LOOK_S = 0.05
_SETTLED_S = 3.0
_LONGEST_S = 180.0
_METHOD = (
    "DCMTK's storescu sends one radiograph, waits until all results of it are in Orthanc, and "
    f"sends the next: {_MANY} of 1955 x 1841 pixels, uncompressed, each a study of its own with a "
    "finding. Two relays keep the time, between sender and node and between node and Orthanc: from "
    "the last byte of the radiograph to Orthanc's answer to the last C-STORE of its results; that "
    "Orthanc has them all is asked afterwards. Beside each, ONNX Runtime alone runs the network on "
    "one thread. The first radiograph after the start is not counted.",
    "The source is set to one instance a study (`expected_instances: 1`), so that nothing is "
    "waited for; without a count the quiet time comes on top. Every step is durable: the instance, "
    "the job, the results and the deliveries are synced to disk before the next begins.",
)
_NODE = """
port: {port}
sources:
  - {name: bench, institution: local, ae_title: BENCH, expected_instances: 1, quiet_time_s: 3600}
rules:
  - {name: all, when: {}, models: [{model}], destinations: [pacs]}
destinations:
  - {name: pacs, to: "ORTHANC@127.0.0.1:{pacs}"}
"""
_WHOLE = "last byte to results in the PACS"
_STAGES = (
    "of it: from the last byte to success of C-STORE, the instance on disk",
    "of it: from success to the study found complete",
    "of it: from there to the pre-read recorded, its results built and kept",
    "of it: from there to the last result in the PACS",
)
_ALONE = "ONNX Runtime alone on the prepared tensor, one thread"


@dataclass(frozen=True, slots=True)
class Passage:
    """When one radiograph passed; seconds of the epoch."""

    study_uid: str
    last_byte_at: float
    answered_at: float
    in_pacs_at: float
    alone_s: float
    """What the network alone takes, right after it."""


@dataclass(frozen=True, slots=True)
class Relays:
    """Between sender and node, and between node and PACS."""

    inward: Relay
    outward: Relay


def measure(bench: Bench) -> Section:
    """Measure how long results take, and where the time goes."""
    count = _FEW if bench.effort.rounds <= 2 else _MANY
    with (
        tempfile.TemporaryDirectory() as name,
        orthanc(Path(name)) as pacs,
        Relay(pacs.port) as outward,
    ):
        text = _NODE.replace("{model}", bench.package.reference_to.name)
        text = text.replace("{pacs}", str(outward.port))
        with (
            zhuzhen_node(Path(name), "node", text) as node,
            Relay(node.port) as inward,
            httpx.Client(base_url=str(pacs.rest), trust_env=False) as client,
        ):
            passages = _passages(bench, count, Relays(inward, outward), client)
            stages = _stages(passages, Path(name) / "node")
    whole = [each.in_pacs_at - each.last_byte_at for each in passages]
    alone = [each.alone_s for each in passages]
    ratios = [seconds / network for seconds, network in zip(whole, alone, strict=True)]
    absolutes = {
        _WHOLE: Spread.of(_ms(whole)),
        f"{_WHOLE}, 99th percentile": Spread.of(_ms([_percentile_99(whole)])),
        _ALONE: Spread.of(_ms(alone)),
        **{name: Spread.of(_ms(seconds)) for name, seconds in stages.items()},
    }
    return Section(
        "last-byte",
        "From the last byte of a radiograph to its results in the PACS",
        _METHOD,
        (
            Figure(f"{_WHOLE} / ONNX Runtime alone", Spread.of(ratios), "x"),
            Figure(
                f"{_WHOLE}, 99th percentile / ONNX Runtime alone, median",
                Spread.of([_percentile_99(whole) / statistics.median(alone)]),
                "x",
            ),
        ),
        tuple(Figure(name, spread, "ms") for name, spread in absolutes.items()),
    )


def _passages(bench: Bench, count: int, relays: Relays, pacs: httpx.Client) -> list[Passage]:
    session = open_session(bench.package.onnx_path, threads=1)
    tensor = bench.prepared(bench.bodies.uncompressed)

    def alone_s() -> float:
        started = time.perf_counter()
        session.run(None, {"image": tensor})
        return time.perf_counter() - started

    file = bench.bodies.uncompressed.file.with_suffix(".dcm")
    _renewed(bench, file)
    _send(relays.inward, file)
    objects = _settled(pacs)
    passages = []
    for number in range(1, count + 1):
        study_uid = _renewed(bench, file)
        _send(relays.inward, file)
        _wait_for(pacs, (number + 1) * objects)
        # The first answer is to the request for the association.
        stored, sent = _answer(relays.inward, 1), _answer(relays.outward, objects)
        passages.append(
            Passage(study_uid, stored.last_byte_at, stored.answered_at, sent.answered_at, alone_s())
        )
    return passages


def _answer(relay: Relay, number: int) -> Turn:
    """Return an answer of the last connection; the PACS has an object before it says so."""
    give_up = time.monotonic() + _LONGEST_S
    while len(found := relay.exchanges()) <= number:
        if time.monotonic() > give_up:
            raise RuntimeError(f"{len(found)} answers passed the relay; expected {number + 1}")
        time.sleep(0.01)
    return found[number]


def _stages(passages: Sequence[Passage], home: Path) -> Mapping[str, list[float]]:
    """Return where the time went, from what the node has recorded; seconds."""
    engine = open_engine(database_url({}, home))
    with engine.connect() as connection:
        rows = connection.execute(
            select(STUDIES.c.study_uid, JOBS.c.created_at, PRE_READS.c.created_at)
            .join(JOBS, JOBS.c.study_id == STUDIES.c.id)
            .join(PRE_READS, PRE_READS.c.job_id == JOBS.c.id)
        ).all()
    engine.dispose()
    times = {study_uid: (closed_at, read_at) for study_uid, closed_at, read_at in rows}
    stages: dict[str, list[float]] = {name: [] for name in _STAGES}
    for each in passages:
        closed_at, read_at = times[each.study_uid]
        moments = (each.last_byte_at, each.answered_at, closed_at, read_at, each.in_pacs_at)
        for name, begun, ended in zip(_STAGES, moments, moments[1:], strict=False):
            stages[name].append(ended - begun)
    return stages


def _renewed(bench: Bench, file: Path) -> str:
    """Write the radiograph to `file` as one that nobody has seen; return its study's UID."""
    dataset = pydicom.dcmread(io.BytesIO(bench.bodies.uncompressed.data))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, generate_uid())
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(file, enforce_file_format=True)
    return str(dataset.StudyInstanceUID)


def _send(relay: Relay, file: Path) -> None:
    options = ("--max-send-pdu", "131072", "-aet", "BENCH", "-aec", "ZHUZHEN")
    program = (dcmtk_program("storescu"), *options, "127.0.0.1", str(relay.port), str(file))
    subprocess.run(program, env={"TCP_NODELAY": "1"}, check=True, capture_output=True)


def _objects(pacs: httpx.Client) -> int:
    return int(pacs.get("/statistics").raise_for_status().json()["CountInstances"])


def _wait_for(pacs: httpx.Client, count: int) -> None:
    """Return when the PACS has `count` objects."""
    deadline = time.time() + _LONGEST_S
    while _objects(pacs) < count:
        if time.time() > deadline:
            raise RuntimeError(f"The results are not in the PACS after {_LONGEST_S:g} s.")
        time.sleep(_LOOK_S)


def _settled(pacs: httpx.Client) -> int:
    """Return how many objects one radiograph has, once the first of all has been read."""
    _wait_for(pacs, 1)
    found, since = _objects(pacs), time.time()
    while time.time() - since < _SETTLED_S:
        time.sleep(0.1)
        if _objects(pacs) != found:
            found, since = _objects(pacs), time.time()
    return found


def _percentile_99(seconds: Sequence[float]) -> float:
    if len(seconds) < 2:
        return seconds[0]
    return statistics.quantiles(seconds, n=100, method="inclusive")[98]


def _ms(seconds: Sequence[float]) -> list[float]:
    return [1e3 * each for each in seconds]
