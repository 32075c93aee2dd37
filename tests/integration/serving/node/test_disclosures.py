"""Whatever a node, its jobs and its operator do with a patient's data stands in one report."""

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from unittest import mock

import httpx
import pydicom
import pytest
from typer.testing import CliRunner

from serving.attached import AttachedService, attached_service
from serving.cli.app import app
from serving.identity.keys import id_of
from serving.identity.local import operator
from serving.jobs.listing import list_jobs
from serving.records import database_url, open_engine
from tests.fetching_node import EXAMPLE, radiographs, study_of, upload
from tests.integration.serving.node.conftest import dcmtk
from tests.orthanc import Orthanc, free_port, needs_orthanc, running_orthanc

NUMBER = "MRN-70-4711"
NODE = """
port: {node}
sources:
  - {{name: modality, institution: local, ae_title: MODALITY, quiet_time_s: 0.3}}
  - name: by-move
    institution: local
    ae_title: ORTHANC
    quiet_time_s: 600
    fetch: {{from: "{dimse}"}}
  - name: by-get
    institution: local
    quiet_time_s: 600
    fetch: {{from: "{dimse}", by: c-get}}
  - name: by-web
    institution: local
    quiet_time_s: 600
    fetch: {{from: "{web}"}}
rules:
  - name: sent
    when: {{source: [modality]}}
    models: [chest-xray-pneumonia]
    destinations: [pacs, web, files, university, down]
  - {{name: fetched, models: [chest-xray-pneumonia]}}
destinations:
  - {{name: pacs, to: "{dimse}"}}
  - {{name: web, to: "{web}"}}
  - {{name: files, to: "folder:out"}}
  - {{name: university, to: "folder:outside", deidentify: {{secret_file: secret, send: [images]}}}}
  - {{name: down, to: "NOBODY@127.0.0.1:{down}", give_up_after_s: 0}}
"""
WHOSE = ("--institution", "local", "--number-file", "-")
Act = tuple[str, str, str, str | None]
"""Who, by what name the record has it, how it ended, and why."""


@dataclass
class Ward:
    """A node, a PACS, and what was done so far."""

    service: AttachedService
    pacs: Orthanc
    folder: Path
    port: int
    done: Counter[Act] = field(default_factory=Counter)

    def did(self, actor: str, *operations: str) -> None:
        """Note what was done, and should be on record."""
        self.done.update((actor, operation, "allowed", None) for operation in operations)

    def failed(self, actor: str, operation: str, reason: str) -> None:
        self.done[(actor, operation, "failed", reason)] += 1

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        with httpx.Client(base_url=self.service.url, trust_env=False, timeout=60) as client:
            return client.request(method, path, headers=self.service.headers, **more)  # type: ignore[arg-type]

    def send(self, file: bytes) -> int:
        """Have DCMTK's storescu send a file; its exit status."""
        path = self.folder / "sent.dcm"
        path.write_bytes(file)
        to = ["-xy", "-aet", "MODALITY", "-aec", "ZHUZHEN", "127.0.0.1", str(self.port), str(path)]
        return subprocess.run([dcmtk("storescu"), *to], capture_output=True, check=False).returncode

    def settled(self, jobs: int) -> None:
        """Wait until so many jobs and their deliveries have ended."""
        engine = open_engine(database_url())
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = list_jobs(engine)
            states = {state for job in found for state in (job.state, *job.deliveries.values())}
            if len(found) == jobs and states <= {"done", "failed"}:
                engine.dispose()
                return
            time.sleep(0.2)
        pytest.fail(f"the jobs did not end: {found}")


def operate(*arguments: str) -> str:
    """What a command of the operator tells, which is given the patient's number where it asks."""
    done = CliRunner().invoke(app, [*arguments], input=NUMBER)
    assert done.exit_code == 0, f"{arguments}: {done.output} {done.exception}"
    return done.stdout


def changed(file: bytes, **elements: str) -> bytes:
    dataset = pydicom.dcmread(BytesIO(file))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    port, home = free_port(), tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text("0123456789abcdef0123456789abcdef")
    peers = {"zhuzhen": ["ZHUZHEN", "127.0.0.1", port]}
    with (
        running_orthanc(tmp_path / "pacs", DicomModalities=peers) as pacs,
        mock.patch.dict(os.environ, {"ZHUZHEN_HOME": str(home)}),
    ):
        text = NODE.format(node=port, dimse=pacs.dimse, web=pacs.dicomweb, down=free_port())
        (home / "node.yaml").write_text(text)
        with (tmp_path / "log").open("wb") as log, attached_service(log=log.fileno()) as service:
            yield Ward(service, pacs, tmp_path, port)


def receive_and_deliver(ward: Ward) -> bytes:
    operate("consents", "record", *WHOSE, "--purpose", "research", "--evidence", "A-1")
    ward.did(OPERATOR, "cli:consents.record")
    (image,) = radiographs(1, PatientID=NUMBER)
    assert ward.send(image) == 0
    ward.settled(1)
    ward.did("source:modality", "c-store")
    ward.did("node", "process_study", "export_deidentified:university")
    ward.did("node", *(f"deliver_results:{name}" for name in ("pacs", "web", "files")))
    _tried_in_vain(ward)
    (job,) = [json.loads(line) for line in operate("jobs", "list", "--json").splitlines()]
    operate("jobs", "show", job["id"])
    operate("jobs", "retry", job["id"])
    ward.settled(1)
    ward.did(OPERATOR, "cli:jobs.show", "cli:jobs.retry")
    _tried_in_vain(ward)
    return image


def _tried_in_vain(ward: Ward) -> None:
    for _ in range(2):
        ward.did("node", "deliver_results:down")
        ward.failed("node", "deliver_results:down", "not_delivered")


def refuse(ward: Ward, image: bytes) -> None:
    """What is not taken lies in quarantine: another image with a known UID, one that is cut off."""
    assert ward.send(changed(image, ImageComments="another")) != 0
    ward.failed("source:modality", "quarantine", "conflict")
    dicom = {"Content-Type": "application/dicom"}
    with httpx.Client(base_url=ward.service.url, trust_env=False) as client:
        headers = ward.service.headers | dicom
        answer = client.post("/dicom-web/studies", content=image[:-1000], headers=headers)
    assert answer.status_code == 400
    ward.failed(PROGRAM.format(id_of(ward.service.key)), "quarantine", "not_understood")


def fetch(ward: Ward) -> None:
    """Fetch a study each way: by UID and by accession number, which name no patient."""
    program = PROGRAM.format(id_of(ward.service.key))
    for number, source in enumerate(("by-move", "by-get", "by-web"), start=2):
        files = radiographs(2, PatientID=NUMBER, AccessionNumber=f"ACC-{source}")
        upload(ward.pacs, files)
        if source == "by-move":
            order = {"source": source, "studies": [study_of(files[0])]}
            assert ward.ask("POST", "/v1/fetches", json=order).status_code == 202
            ward.did(program, "POST:/v1/fetches")
        else:
            operate("node", "fetch", source, "--accession", f"ACC-{source}", "--wait-s", "60")
            ward.did(OPERATOR, "cli:node.fetch")
        ward.settled(number)
        # Permitted, and then whose it turned out to be.
        ward.did("node", "fetch", "fetch", "process_study")
        ward.did(f"source:{source}", "c-store")


def look_and_work(ward: Ward, image: bytes) -> None:
    """Read what is here over DICOMweb, and have a task for it on the worklist."""
    program = PROGRAM.format(id_of(ward.service.key))
    studies, items = "/dicom-web/studies", "/dicom-web/workitems"
    item = {
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00100020": {"vr": "LO", "Value": [NUMBER]},
    }
    claim = {
        "00741000": {"vr": "CS", "Value": ["IN PROGRESS"]},
        "00081195": {"vr": "UI", "Value": ["1.2.9"]},
    }
    for method, path, operation, more in (
        ("GET", f"{studies}?PatientID={NUMBER}", f"GET:{studies}", {}),
        ("GET", f"{studies}/{study_of(image)}/metadata", f"GET:{studies}/:study/metadata", {}),
        ("POST", f"{items}?1.2.3.4", f"POST:{items}", {"json": [item]}),
        ("PUT", f"{items}/1.2.3.4/state", f"PUT:{items}/:workitem/state", {"json": [claim]}),
    ):
        assert ward.ask(method, path, **more).is_success, path
        ward.did(program, operation)


def command(ward: Ward, image: bytes) -> None:
    """What else the operator of the machine does with files and records of the patient."""
    path = str(ward.folder / "held.dcm")
    Path(path).write_bytes(image)
    operate("predict", "chest-xray-pneumonia", path)
    operate("route", "explain", path)
    operate("dicom", "send", ward.pacs.dimse, path)
    ward.did(OPERATOR, "cli:predict", "cli:route.explain", f"cli:dicom.send:{ward.pacs.dimse}")
    newest = json.loads(operate("node", "quarantine", "--json").splitlines()[0])["id"]
    operate("node", "save-quarantined", str(newest), str(ward.folder / "saved.dcm"))
    operate("node", "discard-quarantined", str(newest))
    ward.did(OPERATOR, "cli:node.save-quarantined", "cli:node.discard-quarantined")
    operate("person", "hold", *WHOSE, "--reason", "court-17")
    hold = json.loads(operate("person", "holds", "--json").splitlines()[0])["id"]
    operate("person", "lift", str(hold))
    operate("person", "export", str(ward.folder / "copy.zip"), *WHOSE)
    ward.did(OPERATOR, "cli:person.hold", "cli:person.lift", "cli:person.export")


OPERATOR = operator().id
PROGRAM = "key:{}"
REPORT = ("audit", "disclosures", "--issuer", "local", "--identifier-file", "-")


@needs_orthanc
@pytest.mark.slow
def test_everything_that_was_done_is_in_the_report_and_nothing_else(ward: Ward) -> None:
    image = receive_and_deliver(ward)
    # Somebody else's, which must not be in it.
    assert ward.send(EXAMPLE.read_bytes()) == 0
    ward.settled(2)
    refuse(ward, image)
    with mock.patch.object(ward, "settled", lambda jobs: Ward.settled(ward, jobs + 1)):
        fetch(ward)
    look_and_work(ward, image)
    command(ward, image)

    told = json.loads(operate(*REPORT, "--json"))["disclosures"]
    ward.did(OPERATOR, "audit.disclosures")
    found = Counter(
        (each["actor"], each["operation"], each["outcome"], each["reason"]) for each in told
    )
    assert found == ward.done
    assert all(each["occurred_at"] and each["purpose_text"]["zh"] for each in told)
    english, chinese = (operate(*REPORT, "--language", language) for language in ("en", "zh"))
    assert "| a program | local | care | study of images | evaluated | deliver_results:web |" in (
        english
    )
    assert "| 程序 | local | 诊疗 | 影像检查 | 分析 | deliver_results:web | 已执行 |" in chinese
    assert "| 程序 | local | 科研 | 影像检查 | 分析 | export_deidentified:university |" in chinese
