"""After an erasure nothing of a person is left, comes back, or goes out, whatever was under way."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from sqlalchemy import Engine, MetaData, select

from serving.archive.tables import INSTANCES, QUARANTINE
from serving.attached import attached_service
from serving.identity.local import LOCAL, passing_key
from serving.jobs.forgetting import jobs_url
from serving.jobs.listing import JobLine, list_jobs
from serving.jobs.tables import DELIVERIES, PRE_READS
from serving.objects import open_objects
from serving.outside.leaving import outgoing_of
from serving.policy import Role
from serving.records import database_url, open_engine
from tests.identifiers import ACCESSION, BIRTH, CHINESE, LATIN, NUMBER, leaks_under
from tests.installation import installation
from tests.node_bench import radiograph
from tests.orthanc import free_port

NODE = """
port: {port}
sources:
  - {{name: modality, institution: local, ae_title: MODALITY, quiet_time_s: 0.3}}
  - name: away
    institution: local
    fetch: {{from: "http://127.0.0.1:{nobody}/dicom-web", timeout_s: 2}}
rules: [{{name: all, models: [chest-xray-pneumonia], destinations: [files, late, dead, outside]}}]
destinations:
  - {{name: files, to: "folder:{out}"}}
  - {{name: late, to: "http://127.0.0.1:{late}/dicom-web", timeout_s: 2}}
  - {{name: dead, to: "NOBODY@127.0.0.1:{nobody}", give_up_after_s: 0}}
  - name: outside
    to: "NOBODY@127.0.0.1:{nobody}"
    deidentify: {{secret_file: "{out}/../secret", send: [images]}}
"""
PATIENT = {
    "SpecificCharacterSet": "GB18030",
    "PatientName": f"{LATIN}={CHINESE}",
    "PatientID": NUMBER,
    "PatientBirthDate": BIRTH,
    "AccessionNumber": ACCESSION,
}
SLICES = 12


@dataclass
class Hospital:
    client: httpx.Client
    engine: Engine
    home: Path
    port: int
    late: int

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self.client.request(method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def send(self, *images: Dataset) -> list[int]:
        modality = AE("MODALITY")
        modality.add_requested_context(images[0].SOPClassUID, images[0].file_meta.TransferSyntaxUID)
        association = modality.associate("127.0.0.1", self.port, ae_title="ZHUZHEN")
        assert association.is_established
        found = [int(association.send_c_store(image).Status) for image in images]
        association.release()
        return found

    def jobs(self) -> list[JobLine]:
        return list_jobs(self.engine)


@pytest.fixture(params=["sqlite", "postgresql"])
def hospital(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hospital]:
    with installation(request.param, tmp_path, request) as home, contextlib.ExitStack() as stack:
        home.mkdir(exist_ok=True)
        (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef")
        port, late = free_port(), free_port()
        text = NODE.format(port=port, late=late, nobody=free_port(), out=tmp_path / "out")
        (tmp_path / "out").mkdir()
        (home / "node.yaml").write_text(text)
        log = stack.enter_context((tmp_path / "log").open("wb"))
        service = stack.enter_context(attached_service(log=log.fileno()))
        key = stack.enter_context(passing_key(*Role))
        client = stack.enter_context(
            httpx.Client(base_url=service.url, timeout=60, trust_env=False)
        )
        client.headers["Authorization"] = f"Bearer {key}"
        engine = open_engine(database_url())
        yield Hospital(client, engine, home, port, late)
        engine.dispose()
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


def until(is_so: Callable[[], Any], why: str, seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, why
        time.sleep(0.05)
    return found


def a_study(count: int = 1, **elements: str) -> list[Dataset]:
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    return [radiograph(**uids, **elements) for _ in range(count)]


def fill(hospital: Hospital, image: Dataset) -> None:
    """Have something of the person wherever something can be."""
    patient = {"issuer": LOCAL, "identifier": NUMBER}
    research = {"patient": patient, "purpose": "research", "evidence": f"form of {CHINESE}"}
    hospital.ask("POST", "/v1/consents", json=research)
    assert hospital.send(image) == [0]

    def is_under_way() -> bool:
        states = [job.deliveries for job in hospital.jobs() if job.deliveries]
        return any(
            (each["files"], each["dead"], each["late"]) == ("done", "failed", "queued")
            and outgoing(hospital.engine)
            for each in states
        )

    until(is_under_way, "the deliveries did not get to where they should be")
    conflict = radiograph(**PATIENT, StudyInstanceUID=image.StudyInstanceUID)
    conflict.SOPInstanceUID = image.SOPInstanceUID
    conflict.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    conflict.ImageComments = CHINESE
    assert hospital.send(conflict) == [0xC111]
    stream = BytesIO()
    radiograph(**PATIENT).save_as(stream)
    cut_off = hospital.client.post(
        "/dicom-web/studies",
        content=stream.getvalue()[:-500],
        headers={"Content-Type": "application/dicom"},
    )
    assert cut_off.status_code == 400
    study = image.StudyInstanceUID
    items = "/dicom-web/workitems"
    scheduled = {"00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}
    named = scheduled | {"00100020": {"vr": "LO", "Value": [NUMBER]}}
    referred = {"0020000D": {"vr": "UI", "Value": [study]}}
    about = scheduled | {"00404021": {"vr": "SQ", "Value": [referred]}}
    hospital.ask("POST", f"{items}?1.2.3.4", json=[named])
    hospital.ask("POST", f"{items}?1.2.3.5", json=[about])
    filtered = f"{items}/1.2.840.10008.5.1.4.34.5.1/subscribers/DESK?filter=PatientID={NUMBER}"
    hospital.ask("POST", filtered)
    (job,) = hospital.ask("GET", f"{items}?StudyInstanceUID={study}").json()
    hospital.ask("POST", f"{items}/{job['00080018']['Value'][0]}/subscribers/DESK")
    hospital.ask("POST", "/v1/fetches", json={"source": "away", "studies": [study]})


def outgoing(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        texts = connection.execute(select(DELIVERIES.c.outgoing)).scalars().all()
    return {each.digest for text in texts for each in outgoing_of(text)}


def kept_objects(hospital: Hospital) -> tuple[set[str], set[str]]:
    """The objects that the records have, and those that are there."""
    store = open_objects()
    digests = outgoing(hospital.engine)
    with hospital.engine.connect() as connection:
        for column in (INSTANCES.c.digest, PRE_READS.c.answers, QUARANTINE.c.digest):
            digests |= set(connection.execute(select(column)).scalars())
    there = {path.name for path in (hospital.home / "objects").glob("??/*")}
    return {store.name_of(digest) for digest in digests}, there


def rows_with(texts: set[str]) -> list[str]:
    """The tables, those of DBOS too, in which one of `texts` stands."""
    found = []
    for url in sorted({database_url(), jobs_url()}):
        engine = open_engine(url)
        with engine.connect() as connection:
            schemas = ["public", "dbos"] if engine.dialect.name == "postgresql" else [None]
            for schema in schemas:
                tables = MetaData()
                tables.reflect(connection, schema=schema, resolve_fks=False)
                for table in tables.tables.values():
                    for row in connection.execute(select(table)).all():
                        if any(text in str(row) for text in texts):
                            found.append(f"{table.name}: {row}")
        engine.dispose()
    return found


@contextlib.contextmanager
def server(port: int) -> Iterator[list[bytes]]:
    """What is sent over HTTP to a destination that is there again."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"00081199": {"vr": "SQ", "Value": []}}).encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield bodies
        found.shutdown()


@pytest.mark.slow
def test_nothing_is_left_comes_back_or_goes_out(hospital: Hospital) -> None:
    (other,) = a_study(PatientID="somebody else")
    assert hospital.send(other) == [0]
    until(lambda: [job for job in hospital.jobs() if job.state == "done"], "nothing was read")
    (image,) = a_study(1, **PATIENT)
    fill(hospital, image)
    before = len(hospital.jobs())
    slices = a_study(SLICES, **PATIENT)
    assert hospital.send(*slices) == [0] * SLICES

    def running() -> list[JobLine]:
        jobs = hospital.jobs()
        assert len(jobs) == before or jobs[0].state != "done", "it was read too soon to erase"
        return [job for job in jobs if job.state == "running"]

    until(running, "it was not begun to be read")
    removed = hospital.ask("POST", "/v1/persons/erasure", json={"identifier": NUMBER}).json()

    assert removed["removed"]["images"] >= 1 + SLICES
    assert removed["removed"]["quarantine"] == 2
    assert removed["removed"]["worklist"] == 3
    uids = {image.StudyInstanceUID, *(each.SOPInstanceUID for each in (image, *slices))}
    uids.add(slices[0].StudyInstanceUID)
    # What was being read has its time to end, and to leave nothing.
    until(lambda: not rows_with(uids), f"still there: {rows_with(uids)[:3]}", 40)
    wanted, there = kept_objects(hospital)
    assert there == wanted
    assert leaks_under(hospital.home) == []
    if database_url().startswith("sqlite"):
        written = [path for path in hospital.home.rglob("*") if path.is_file()]
        for path in written:
            content = path.read_bytes()
            assert not [uid for uid in uids if uid.encode() in content], path.name
    with server(hospital.late) as bodies:
        until(lambda: bodies, "what is somebody else's was not sent either", 60)
        time.sleep(3)
        assert all(b"somebody else" in body for body in bodies)
    assert [job.state for job in hospital.jobs()] == ["done"]
    copy = hospital.ask("POST", "/v1/persons/export", json={"identifier": NUMBER})
    assert len(copy.content) < 2000, "a copy of nothing"


def test_observations_of_the_person_are_overwritten(hospital: Hospital) -> None:
    for patient in (PATIENT, {"PatientID": "somebody else"}):
        assert hospital.send(*a_study(1, **patient)) == [0]
    folder = hospital.home / "monitoring" / "chest-xray-pneumonia"

    def lines() -> list[str]:
        content = "".join(path.read_text() for path in folder.glob("*.jsonl"))
        return [line for line in content.splitlines() if line.strip()]

    until(lambda: len(lines()) == 2, "nothing was observed")
    hospital.ask("POST", "/v1/persons/erasure", json={"identifier": NUMBER})
    assert len(lines()) == 1
