"""An operator decides that what lies in quarantine is right, as the command line has it."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from sqlalchemy import func, select

from serving.archive import InstanceRefusedError, Origin
from serving.archive.announced import Announced
from serving.archive.entries import ACCESSION_NUMBER, text_of, unsealed
from serving.archive.quarantined import list_quarantined
from serving.archive.tables import INSTANCES, QUARANTINE, SERIES, STUDIES
from serving.audit.opening import audit_engine
from serving.audit.queries import Criteria, find_events
from serving.jobs.accepting import Accepted, NotAcceptableError, accept, read_candidate
from serving.jobs.planning import RESULTS_SOURCE
from serving.privacy import blind_index, open_keyring, pseudonym_of
from tests.instance_samples import encoded, instance
from tests.integration.serving.node.conftest import RunningNode
from tests.integration.serving.node.test_receiving import eventually, run_zhuzhen, send
from tests.node_bench import EXAMPLE, Bench, radiograph

PNEUMONIA = EXAMPLE.with_name("child-pneumonia-1.dcm")


@pytest.fixture
def bench(tmp_path: Path, database_url: str) -> Iterator[Bench]:
    """On each database in turn."""
    with contextlib.closing(Bench(tmp_path, database_url)) as found:
        yield found


def reports(node: RunningNode, study: str) -> list[Dataset]:
    """The reports on a study that were delivered, the first version first."""
    files = [pydicom.dcmread(path) for path in (node.home / "out").rglob("*.dcm")]
    found = [each for each in files if (each.StudyInstanceUID, each.Modality) == (study, "SR")]
    return sorted(found, key=lambda each: int(each.InstanceNumber))


def in_quarantine(uid: str) -> list[dict[str, Any]]:
    lines = run_zhuzhen("node", "quarantine", "--json").splitlines()
    return [each for each in map(json.loads, lines) if each["sop_instance_uid"] == uid]


def test_an_accepted_instance_is_read_in_place_of_the_known_one(
    node: RunningNode, tmp_path: Path
) -> None:
    known, other = pydicom.dcmread(EXAMPLE), pydicom.dcmread(PNEUMONIA)
    study, uid = known.StudyInstanceUID, known.SOPInstanceUID
    assert send(node, EXAMPLE) == 0
    (first,) = eventually(lambda: reports(node, study))
    # The modality had sent the wrong picture, and sends the right one under the same UID.
    for keyword in ("PixelData", "Rows", "Columns"):
        setattr(known, keyword, getattr(other, keyword))
    known.file_meta.TransferSyntaxUID = other.file_meta.TransferSyntaxUID
    right = tmp_path / "right.dcm"
    known.save_as(right)
    send(node, right)
    (line,) = in_quarantine(uid)
    told = run_zhuzhen(
        "node", "accept-quarantined", str(line["id"]), "--reason", "resent_by_room_1"
    )
    assert study in told
    (old,) = in_quarantine(uid)
    assert (old["reason"], str(old["id"]) in told) == ("replaced", True)
    _, second = eventually(lambda: found if len(found := reports(node, study)) == 2 else [])
    (replaced,) = second.PredecessorDocumentsSequence
    (named,) = replaced.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    # What tells of another picture is another object, though the picture has the same UID.
    captures = {
        each.SOPInstanceUID
        for each in map(pydicom.dcmread, (node.home / "out").rglob("*.dcm"))
        if (each.StudyInstanceUID, each.Modality) == (study, "OT")
    }
    assert len(captures) == 2
    with node.client() as client:
        place = f"/dicom-web/studies/{study}/series/{known.SeriesInstanceUID}/instances/{uid}"
        answer = client.get(place, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert pydicom.dcmread(BytesIO(answer.content)) == known
    with audit_engine() as engine, engine.connect() as connection:
        patient = pseudonym_of(open_keyring(), "local", str(known.PatientID))
        found = list(find_events(connection, Criteria(patient)))
    operation = "cli:node.accept-quarantined"
    assert (operation, "resent_by_room_1") in [(event.operation, event.reason) for event in found]


def receive(bench: Bench, dataset: Dataset, announced: str | None = None) -> None:
    bench.archive.receive(
        encoded(dataset),
        ExplicitVRLittleEndian,
        Origin("local", "quick"),
        Announced(sop_instance_uid=announced),
    )


def refused(bench: Bench, dataset: Dataset, announced: str | None = None) -> int:
    """Have something refused; return its number in quarantine."""
    with pytest.raises(InstanceRefusedError):
        receive(bench, dataset, announced)
    return list_quarantined(bench.engine, 1)[0].id


def accepted(bench: Bench, number: int, *, whole_study: bool = False) -> Accepted:
    candidate = read_candidate(bench.archive, number)
    return accept(bench.archive, candidate, whole_study=whole_study)


def apart(bench: Bench) -> dict[str, str]:
    """The reason for each that lies in quarantine, by what its description says."""
    with bench.engine.connect() as connection:
        rows = connection.execute(select(QUARANTINE.c.digest, QUARANTINE.c.reason)).all()
    return {_described(bench, digest): reason for digest, reason in rows}


def kept(bench: Bench) -> list[str]:
    """What the descriptions of known instances say, in order of arrival."""
    with bench.archive.reading() as connection:
        digests = connection.scalars(select(INSTANCES.c.digest).order_by(INSTANCES.c.id)).all()
        counted = connection.scalar(select(func.sum(STUDIES.c.instances)))
    assert counted == len(digests)
    return [_described(bench, digest) for digest in digests]


def _described(bench: Bench, digest: str) -> str:
    file = pydicom.dcmread(BytesIO(bench.archive.open(digest)), force=True)
    return str(file.SeriesDescription)


def test_what_was_accepted_can_be_taken_back(bench: Bench) -> None:
    dataset = instance(SeriesDescription="first")
    receive(bench, dataset)
    dataset.SeriesDescription = "second"
    number = refused(bench, dataset)
    (old,) = accepted(bench, number).replaced
    assert (kept(bench), apart(bench)) == (["second"], {"first": "replaced"})
    # Who sends it again is told that it is there.
    receive(bench, dataset)
    accepted(bench, old)
    assert (kept(bench), apart(bench)) == (["first"], {"second": "replaced"})


def test_a_corrected_header_is_what_searches_and_rules_see(bench: Bench) -> None:
    dataset = instance(Modality="CT", StudyDescription="head", AccessionNumber="A-1")
    dataset.SeriesDescription = "first"
    receive(bench, dataset)
    dataset.Modality, dataset.StudyDescription, dataset.AccessionNumber = "CR", "chest", "A-2"
    dataset.SeriesInstanceUID = generate_uid()
    accepted(bench, refused(bench, dataset))
    with bench.archive.reading() as connection:
        (study,) = connection.execute(select(STUDIES)).all()
        (series,) = connection.execute(select(SERIES)).all()
    keyring = bench.archive.keyring
    assert text_of(unsealed(keyring, study.attributes, STUDIES), "00081030") == "chest"
    assert study.accession_index == blind_index(keyring, "A-2", ACCESSION_NUMBER)
    assert (series.series_uid, series.modality) == (dataset.SeriesInstanceUID, "CR")


def test_what_was_announced_as_another_is_taken_for_what_it_is(bench: Bench) -> None:
    dataset = instance(SeriesDescription="misnamed")
    number = refused(bench, dataset, announced="1.2.3")
    assert apart(bench) == {"misnamed": "not_as_announced"}
    found = accepted(bench, number)
    assert (found.sop_instance_uid, found.replaced) == (dataset.SOPInstanceUID, ())
    assert (kept(bench), apart(bench)) == (["misnamed"], {})


@pytest.mark.parametrize("is_new", [False, True], ids=["resent", "another-instance"])
def test_another_patients_instance_needs_the_study_set_aside(bench: Bench, is_new: bool) -> None:
    dataset = instance(PatientID="P-1", SeriesDescription="first")
    second = instance(
        **{key: dataset[key].value for key in ("StudyInstanceUID", "SeriesInstanceUID")},
        PatientID="P-1",
        SeriesDescription="second",
    )
    receive(bench, dataset)
    receive(bench, second)
    right = instance() if is_new else dataset
    right.StudyInstanceUID, right.PatientID = dataset.StudyInstanceUID, "P-2"
    right.SeriesDescription = "right"
    number = refused(bench, right)
    with pytest.raises(NotAcceptableError, match=f"accept {number} with --whole-study"):
        accepted(bench, number)
    assert kept(bench) == ["first", "second"]
    found = accepted(bench, number, whole_study=True)
    assert len(found.replaced) == 2
    assert (kept(bench), apart(bench)) == (["right"], {"first": "replaced", "second": "replaced"})


def test_a_study_set_aside_takes_its_pre_reads_with_it(bench: Bench) -> None:
    dataset = radiograph(PatientID="P-1")
    with bench.worker() as worker:
        bench.receive(dataset, "quick")
        bench.settled(1)
        dataset.PatientID = "P-2"
        with pytest.raises(InstanceRefusedError):
            bench.receive(dataset, "quick")
        number = list_quarantined(bench.engine, 1)[0].id
        found = accepted(bench, number, whole_study=True)
        worker.wake()
        (job,) = bench.settled(1)
    assert found.sent_to == ("pacs",)
    result = next(
        line.id for line in list_quarantined(bench.engine) if line.source == RESULTS_SOURCE
    )
    with pytest.raises(NotAcceptableError, match="Results are made anew"):
        read_candidate(bench.archive, result)
    assert (job.version, job.state, bench.current()) == (1, "done", [1])
    reports = [each for each in bench.pacs.received.values() if each.Modality == "SR"]
    assert sorted(each.PatientID for each in reports) == ["P-1", "P-2"]
    assert not any("PredecessorDocumentsSequence" in each for each in reports)


def test_a_result_of_the_node_stays(bench: Bench) -> None:
    with bench.worker():
        bench.receive(radiograph(), "quick")
        bench.settled(1)
    report = next(each for each in bench.pacs.received.values() if each.Modality == "SR")
    report.SeriesDescription = "changed by somebody"
    number = refused(bench, report)
    with pytest.raises(NotAcceptableError, match="this node itself made"):
        accepted(bench, number)


def test_what_cannot_be_read_stays_where_it_is(bench: Bench) -> None:
    broken = encoded(instance())[:-30]
    with pytest.raises(InstanceRefusedError):
        bench.archive.receive(broken, ExplicitVRLittleEndian, Origin("local", "quick"))
    (line,) = list_quarantined(bench.engine)
    with pytest.raises(NotAcceptableError, match="Send it again"):
        read_candidate(bench.archive, line.id)
    assert len(list_quarantined(bench.engine)) == 1


_KILLED = """
import os, signal, sys
from unittest import mock
from serving.cli.app import app

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

with mock.patch(sys.argv.pop(1), die):
    app()
"""


@pytest.mark.parametrize(
    ("moment", "is_done"),
    [
        ("serving.jobs.accepting._accept", False),
        ("serving.jobs.accepting.insert_instances", False),
        ("serving.jobs.accepting.forget_quarantined", False),
        ("serving.cli.quarantine.typer.echo", True),
    ],
)
def test_a_killed_command_has_done_all_or_nothing(
    moment: str, is_done: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    with contextlib.closing(Bench(tmp_path)) as bench:
        dataset = instance(SeriesDescription="first")
        receive(bench, dataset)
        dataset.SeriesDescription = "second"
        number = str(refused(bench, dataset))
        command = ("node", "accept-quarantined", number, "--reason", "resent")
        run = subprocess.run([sys.executable, "-c", _KILLED, moment, *command], check=False)
        assert run.returncode == -signal.SIGKILL
        if not is_done:
            assert (kept(bench), apart(bench)) == (["first"], {"second": "conflict"})
            run_zhuzhen(*command)
        assert (kept(bench), apart(bench)) == (["second"], {"first": "replaced"})
