"""What goes to a destination outside of the institution tells nobody whose it is."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import insert, select

from serving.access import Guard
from serving.archive.tables import EXPECTED
from serving.audit import Outcome, Purpose
from serving.destinations import destination_of
from serving.jobs.listing import JobLine, list_jobs, retry_job, show_job
from serving.jobs.tables import DELIVERIES
from serving.jobs.work import Hooks
from serving.node.access import Gatekeeper
from serving.outside import OutsideSettingError
from serving.persons.images import ArchivedImages
from serving.persons.person import Person
from serving.policy import Actor, ActorKind, Role
from serving.privacy import pseudonym_of
from serving.privacy.consents import Agreement, Consents
from serving.routing import Node
from tests.dicom_validators import iod_errors, needs
from tests.guards import MemoryRecorder, OneKey
from tests.node_bench import AwayError, Bench, radiograph

NODE = """
sources: [{{name: quick, institution: local, quiet_time_s: 0}}]
rules:
  - name: chest
    models: [chest-xray-pneumonia]
    destinations: [pacs, university]
destinations:
  - {{name: pacs, to: "folder:in"}}
  - name: university
    to: folder:out
    deidentify: {{secret_file: secret, {more}}}
"""
PATIENT = {
    "PatientName": "ZHAO^TIEZHU=赵^铁柱",
    "PatientID": "HOSP-4711-8",
    "AccessionNumber": "ACC-2026-0815",
    "ReferringPhysicianName": "QIAN^SANQIANG",
    "InstitutionName": "Yushan County Hospital",
    "SpecificCharacterSet": "ISO_IR 192",
}
IDENTIFIERS = ("ZHAO", "TIEZHU", "铁柱", "HOSP-4711-8", "ACC-2026-0815", "QIAN", "Yushan")


@pytest.fixture(autouse=True)
def secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef")


def sent(bench: Bench, dataset: Dataset, more: str = "") -> tuple[JobLine, list[Path]]:
    """Send one image to a node with both destinations; return its job and what went outside."""
    university = destination_of({"name": "university", "to": "folder:out"}, bench.home)
    with bench.worker(NODE.format(more=more), {"university": university}):
        bench.receive(dataset, "quick")
        (job,) = bench.settled(1)
    return job, sorted((bench.home / "out").glob("*.dcm"))


def test_images_and_results_leave_without_identity_and_stay_whole(bench: Bench) -> None:
    image = radiograph(StudyInstanceUID=generate_uid(), **PATIENT)
    job, files = sent(bench, image)
    assert job.deliveries == {"pacs": "done", "university": "done"}
    outside = [pydicom.dcmread(path) for path in files]
    assert {"CR", "SR"} < {each.Modality for each in outside}
    assert len({each.StudyInstanceUID for each in outside}) == 1
    assert len({each.PatientID for each in outside}) == 1
    own_uids = {image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID}
    for path in files:
        data = path.read_bytes()
        for text in (*IDENTIFIERS, *own_uids):
            assert text.encode() not in data, (path.name, text)
    # The report outside refers to the image outside.
    source = next(each for each in outside if each.Modality == "CR")
    report = next(each for each in outside if each.Modality == "SR")
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0]
    referenced = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert report.PatientIdentityRemoved == "YES"
    # Neither date tells by how much the other was moved.
    assert report.ContentDate < "20261125"
    # Inside, everything is as it was.
    inside = next(each for each in bench.pacs.received.values() if each.Modality == "SR")
    assert inside.PatientID == PATIENT["PatientID"]


@needs("dciodvfy")
def test_what_leaves_is_valid(bench: Bench) -> None:
    _, files = sent(bench, radiograph(StudyInstanceUID=generate_uid(), **PATIENT))
    assert {path.name: iod_errors(path) for path in files} == {path.name: [] for path in files}


def test_both_reports_say_the_same_of_the_image(bench: Bench) -> None:
    _, files = sent(
        bench, radiograph(StudyInstanceUID=generate_uid(), **PATIENT), "send: [results]"
    )
    outside = [pydicom.dcmread(path) for path in files]
    assert "CR" not in {each.Modality for each in outside}
    (report,) = [each for each in outside if each.Modality == "SR"]
    inside = next(each for each in bench.pacs.received.values() if each.Modality == "SR")

    def numbers(dataset: Dataset) -> list[str]:
        found: list[str] = []
        dataset.walk(
            lambda _, element: (
                found.append(str(element.value)) if element.keyword == "NumericValue" else None
            )
        )
        return found

    assert numbers(report) == numbers(inside)
    assert numbers(report)


def test_burnt_in_text_is_refused_until_somebody_says_where(bench: Bench) -> None:
    image = radiograph(StudyInstanceUID=generate_uid(), BurnedInAnnotation="YES", **PATIENT)
    job, files = sent(bench, image, "send: [images]")
    assert files == []
    assert job.deliveries == {"pacs": "done", "university": "failed"}
    (dead,) = list_jobs(bench.engine, "dead")
    told = next(
        each["reason"]
        for each in show_job(bench.engine, dead.id)["deliveries"]
        if each["destination"] == "university"
    )
    assert "Burned In Annotation" in told
    with bench.engine.begin() as connection:
        retry_job(connection, bench.archive.keyring, Node(), job.id)
    mask = f"send: [images], masks: [{{modality: CR, rows: {image.Rows}, columns: {image.Columns}, "
    mask += "regions: [[0, 0, 300, 80]]}]"
    university = destination_of({"name": "university", "to": "folder:out"}, bench.home)
    with bench.worker(NODE.format(more=mask), {"university": university}):
        bench.settled(1)
    left = [pydicom.dcmread(path) for path in (bench.home / "out").glob("*.dcm")]
    masked = next(each for each in left if each.Modality == "CR")
    assert masked.pixel_array[:80, :300].max() == masked.pixel_array.min()


def test_what_is_sent_again_is_byte_for_byte_the_same(bench: Bench) -> None:
    class Away:
        """Takes everything, and says the first time that it did not."""

        def __init__(self) -> None:
            self.sends: list[list[bytes]] = []

        def send(self, files: Sequence[bytes]) -> None:
            self.sends.append(list(files))
            if len(self.sends) == 1:
                raise AwayError(can_heal=True)

    away = Away()
    with bench.worker(NODE.format(more=""), {"university": away}):
        bench.receive(radiograph(StudyInstanceUID=generate_uid(), **PATIENT), "quick")
        bench.settled(1)
    first, second = away.sends
    assert first == second
    with bench.engine.connect() as connection:
        outgoing = connection.scalar(
            select(DELIVERIES.c.outgoing).where(DELIVERIES.c.destination == "university")
        )
    uids = [str(pydicom.dcmread(BytesIO(data)).SOPInstanceUID) for data in second]
    assert all(uid in str(outgoing) for uid in uids)


def test_nothing_leaves_that_was_not_consented_to(bench: Bench) -> None:
    recorder = MemoryRecorder()
    keyring = bench.archive.keyring
    node = Actor("node", ActorKind.PROGRAM, frozenset({Role.SYSTEM}), "local")
    guard = Guard(bench.engine, recorder, OneKey(node), keyring)
    hooks = Hooks(permit=Gatekeeper(guard).permit)
    university = destination_of({"name": "university", "to": "folder:out"}, bench.home)
    patient = pseudonym_of(keyring, "local", PATIENT["PatientID"])
    consents = Consents(bench.engine)

    def left() -> int:
        return len(list((bench.home / "out").glob("*.dcm")))

    with bench.worker(NODE.format(more="send: [images]"), {"university": university}, hooks):
        bench.receive(radiograph(StudyInstanceUID=generate_uid(), **PATIENT), "quick")
        (job,) = bench.settled(1)
        assert job.deliveries == {"pacs": "done", "university": "failed"}
        assert left() == 0
        told = {each["destination"]: each for each in show_job(bench.engine, job.id)["deliveries"]}
        assert "has not consented to research" in told["university"]["reason"]
        # Delivered and refused by two threads, in either order.
        (refused,) = [each for each in recorder.events if each.outcome is Outcome.DENIED]
        assert refused.reason == "no_research_consent"
        assert (refused.purpose, refused.patient) == (Purpose.RESEARCH, patient)

        given = consents.give(patient, "local", Agreement(Purpose.RESEARCH, "A-1"), "account:1")
        with bench.engine.begin() as connection:
            retry_job(connection, bench.archive.keyring, Node(), job.id)
        (job,) = bench.settled(1)
        assert job.deliveries["university"] == "done"
        assert left() == 1

        consents.withdraw(given.id, "local", "account:1")
        bench.receive(radiograph(StudyInstanceUID=generate_uid(), **PATIENT), "quick")
        assert sorted(job.deliveries["university"] for job in bench.settled(2)) == [
            "done",
            "failed",
        ]
        assert left() == 1


def test_erasure_takes_what_waits_to_leave(bench: Bench) -> None:
    class Down:
        def send(self, files: Sequence[bytes]) -> None:
            raise AwayError(can_heal=False)

    study = generate_uid()
    with bench.engine.begin() as connection:
        connection.execute(
            insert(EXPECTED).values(institution="local", study_uid=study, instances=1)
        )
    with bench.worker(NODE.format(more="send: [images]"), {"university": Down()}):
        bench.receive(radiograph(StudyInstanceUID=study, **PATIENT), "quick")
        bench.settled(1)
    objects = bench.archive.objects
    images = ArchivedImages(bench.engine, bench.archive.keyring, objects)
    assert objects.keys_in_use()
    images.erase(Person.of(bench.archive.keyring, "local", PATIENT["PatientID"]))
    assert objects.keys_in_use() == {}
    with bench.engine.connect() as connection:
        assert connection.execute(select(EXPECTED)).all() == []


def test_a_secret_that_is_too_short_is_told_at_the_start(bench: Bench) -> None:
    (bench.home / "secret").write_text("short")
    with pytest.raises(OutsideSettingError, match=r"university.*16 or more"):
        bench.worker(NODE.format(more=""))
