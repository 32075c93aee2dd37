"""Jobs, as the node carries them out: real models and results, a sender that fails when told."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from models.errors import ZhuzhenError
from serving.check import State
from serving.cli.app import app
from serving.doctor import examine
from serving.jobs.listing import NotRetriableError, list_jobs, retry_job, show_job
from serving.jobs.tables import JOBS
from serving.routing import Node
from serving.routing.node_file import parse_node
from serving.worklist.reports import PROGRESS, REASON, STATE
from tests.node_bench import NODE, AwayError, Bench, eventually, radiograph

LABEL = "00741204"


@pytest.fixture
def bench(tmp_path: Path, database_url: str) -> Iterator[Bench]:
    """On each database in turn."""
    with contextlib.closing(Bench(tmp_path, database_url)) as found:
        yield found


def test_late_instances_give_a_new_version_that_names_the_old(bench: Bench) -> None:
    study = generate_uid()
    with bench.worker():
        bench.receive(radiograph(StudyInstanceUID=study), "quick")
        bench.settled(1)
        bench.receive(radiograph(StudyInstanceUID=study), "quick")
        jobs = bench.settled(2)
    assert [(job.version, job.state) for job in jobs] == [(2, "done"), (1, "done")]
    assert bench.current() == [2]
    reports = [each for each in bench.pacs.received.values() if each.Modality == "SR"]
    assert len(reports) == 2
    second = next(each for each in reports if "PredecessorDocumentsSequence" in each)
    first = next(each for each in reports if each is not second)
    (item,) = second.PredecessorDocumentsSequence
    named = item.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == first.SOPInstanceUID


def test_an_expected_count_needs_no_quiet_time(bench: Bench) -> None:
    study = generate_uid()
    with bench.worker() as worker:
        bench.receive(radiograph(StudyInstanceUID=study), "counted")
        bench.receive(radiograph(), "slow")
        worker.sweep()
        assert list_jobs(bench.engine) == []
        bench.receive(radiograph(StudyInstanceUID=study), "counted")
        (job,) = bench.settled(1)
    assert job.source == "counted"


def test_what_no_rule_fits_is_listed_and_run_once_one_does(bench: Bench) -> None:
    with bench.worker() as worker:
        bench.receive(radiograph(StudyInstanceUID=generate_uid(), Modality="US"), "quick")
        (job,) = bench.settled(1)
        assert job.state == "unrouted"
        assert "modality is US" in job.reason
        assert bench.current() == []
        # Somebody writes the rule: the study need not be sent again.
        with bench.engine.begin() as connection, pytest.raises(NotRetriableError, match="is US"):
            retry_job(connection, bench.archive.keyring, parse_node(NODE), job.id)
        wider = parse_node(NODE.replace("[CR]", "[CR, US]"))
        with bench.engine.begin() as connection:
            assert retry_job(connection, bench.archive.keyring, wider, job.id) == [job.id]
        assert [item[STATE]["Value"] for item in bench.work_items({})] == [["SCHEDULED"]]
        worker.wake()
        (job,) = bench.settled(1)
    assert (job.state, job.deliveries) == ("done", {"pacs": "done"})
    assert bench.current() == [1]


def test_a_destination_that_was_away_gets_everything_once(bench: Bench) -> None:
    bench.pacs.failures = [AwayError(can_heal=True), AwayError(can_heal=True)]
    with bench.worker():
        bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")
        (job,) = bench.settled(1)
    assert job.deliveries == {"pacs": "done"}
    assert bench.pacs.sends == 3
    (delivery,) = show_job(bench.engine, job.id)["deliveries"]
    assert delivery["tries"] == 3


def test_what_cannot_heal_is_on_the_dead_letter_list_and_can_be_retried(bench: Bench) -> None:
    bench.pacs.failures = [AwayError(can_heal=False)]
    with bench.worker() as worker:
        bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")
        missing = radiograph(StudyInstanceUID=generate_uid(), StudyDescription="missing")
        bench.receive(missing, "quick")
        bench.settled(2)
        dead = list_jobs(bench.engine, "dead")
        assert {job.state for job in dead} == {"done", "failed"}
        assert bench.pacs.sends == 1
        undelivered = next(job for job in dead if job.state == "done")
        with bench.engine.begin() as connection:
            retry_job(connection, bench.archive.keyring, Node(), undelivered.id)
        worker.wake()
        bench.settled(2)
    assert [job.state for job in list_jobs(bench.engine, "dead")] == ["failed"]
    assert bench.pacs.received


def test_what_was_for_a_destination_that_is_gone_is_told_and_sent_if_it_comes_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(bench.home))
    monkeypatch.setenv("ZHUZHEN_DATABASE_URL", bench.engine.url.render_as_string(False))
    without = NODE.replace(", destinations: [pacs]", "").replace("name: pacs", "name: b")
    # More than are sent at a time: some are under way, some wait for their turn.
    bench.pacs.failures = [AwayError(can_heal=True)] * 30
    with bench.worker():
        for _ in range(4):
            bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")
        eventually(lambda: found if len(found := list_jobs(bench.engine, "done")) == 4 else [])
    (bench.home / "node.yaml").write_text(without)
    waiting = {check.name: check for check in examine(bench.home)}["deliveries"]
    assert waiting.state is State.WARNING
    assert "4 deliveries are for pacs" in waiting.message.en
    with bench.worker(without):
        assert len(bench.settled(4)) == 4
        dead = list_jobs(bench.engine, "dead")
    assert [job.deliveries for job in dead] == [{"pacs": "failed"}] * 4
    told = CliRunner().invoke(app, ["jobs", "list", "--state", "dead"], env={"COLUMNS": "250"})
    assert told.stdout.count("pacs: The destination is not in node.yaml") == 4
    assert "deliveries" in {check.name for check in examine(bench.home)}
    bench.pacs.failures, bench.pacs.sends = [], 0
    (bench.home / "node.yaml").write_text(NODE)
    with bench.worker():
        bench.settled(4)
    assert list_jobs(bench.engine, "dead") == []
    assert bench.pacs.sends == 4
    assert "deliveries" not in {check.name for check in examine(bench.home)}


def test_urgent_goes_before_routine(bench: Bench) -> None:
    order: list[str] = []
    gate = threading.Event()
    alone = threading.Lock()
    read = bench.reader.read

    def slowly(job_id: str) -> object:
        assert alone.acquire(blocking=False), "one study is read at a time"
        try:
            gate.wait(30)
            order.append(job_id)
            return read(job_id)
        finally:
            alone.release()

    bench.reader.read = slowly  # type: ignore[method-assign, assignment]
    with bench.worker():
        for description in ("a", "b", "urgent"):
            study = radiograph(StudyInstanceUID=generate_uid(), StudyDescription=description)
            bench.receive(study, "quick")
            time.sleep(0.05)
        eventually(lambda: found if len(found := list_jobs(bench.engine)) == 3 else [])
        time.sleep(1.5)
        gate.set()
        jobs = bench.settled(3)
    assert {job.state for job in jobs} == {"done"}
    urgent = next(job.id for job in list_jobs(bench.engine) if job.priority == "urgent")
    # One routine job may have been begun before the urgent one was there.
    assert order.index(urgent) <= 1


def test_a_job_that_a_later_version_takes_the_place_of_ends_as_a_work_item(bench: Bench) -> None:
    gate, read, study = threading.Event(), bench.reader.read, generate_uid()

    def slowly(job_id: str) -> object:
        gate.wait(30)
        return read(job_id)

    bench.reader.read = slowly  # type: ignore[method-assign, assignment]
    with bench.worker() as worker:
        bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")
        eventually(lambda: list_jobs(bench.engine, "running"))
        for _ in range(2):
            bench.receive(radiograph(StudyInstanceUID=study), "quick")
            worker.wake()
            eventually(lambda: list_jobs(bench.engine, "queued"))
        (old,) = eventually(lambda: list_jobs(bench.engine, "superseded"))
        gate.set()
        bench.settled(3)
    (item,) = bench.work_items({LABEL: f"Pre-read, job {old.id}"})
    assert item[STATE]["Value"] == ["CANCELED"]
    (progress,) = item[PROGRESS]["Value"]
    newest = list_jobs(bench.engine, "done")[0]
    assert f"job {newest.id} reads all of it" in progress[REASON]["Value"][0]


def test_what_was_claimed_and_not_begun_is_begun_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, bench.worker() as worker:
        patched.setattr("serving.jobs.duties.DBOS.start_workflow", _fail)
        bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")
        with contextlib.suppress(OSError):
            worker.sweep()
        (job,) = eventually(lambda: list_jobs(bench.engine, "running"))
    # Queued anew, and still in progress to those who watch: there is no way back (PS3.4 CC.1.1).
    with bench.engine.begin() as connection:
        connection.execute(JOBS.update().values(state="queued", attempt=2))
    assert [item[STATE]["Value"] for item in bench.work_items({})] == [["IN PROGRESS"]]
    with bench.worker():
        bench.settled(1)
    (delivery,) = show_job(bench.engine, job.id)["deliveries"]
    assert delivery["state"] == "done"
    assert bench.pacs.sends == 1


def _fail(*_: object) -> None:
    raise OSError("as if killed here")


def test_the_first_study_loads_nothing_that_was_not_rehearsed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.first_study", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"kept": 0, "state": "done", "modules": [], "caches": []}


def test_one_process_carries_out_jobs_on_sqlite(tmp_path: Path) -> None:
    with (
        contextlib.closing(Bench(tmp_path)) as bench,
        bench.worker(),
        pytest.raises(ZhuzhenError, match="Another process"),
    ):
        bench.worker().__enter__()
