"""A worker is killed with a study in its hands: another process, that runs already, goes on."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

from serving.jobs.listing import show_job
from tests.node_bench import Bench, radiograph

STUDIES = 3


@contextmanager
def worker(home: Path, url: str, moment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.node_worker", str(home), url, moment]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    too_late = threading.Timer(300, process.kill)
    too_late.start()
    try:
        return process.stdout.readline().strip()
    finally:
        too_late.cancel()


def test_what_a_killed_worker_held_is_finished_by_another(
    tmp_path: Path, database_url: str
) -> None:
    # Each moment on one database: what goes on from there is the same code on both.
    moment = "reading" if database_url.startswith("postgresql") else "sending"
    with closing(Bench(tmp_path, database_url)) as bench:
        with worker(tmp_path, database_url, moment) as first:
            assert line_of(first) == "working"
            with worker(tmp_path, database_url, "never"):
                for _ in range(STUDIES):
                    bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")
                assert line_of(first) == moment
                first.send_signal(signal.SIGKILL)
                first.wait()
                jobs = bench.settled(STUDIES, seconds=300)
        assert {job.state for job in jobs} == {"done"}
        assert {tuple(job.deliveries.items()) for job in jobs} == {(("pacs", "done"),)}
        assert bench.current() == [1] * STUDIES
        results = [show_job(bench.engine, job.id)["results"] for job in jobs]
        made = [each["sop_instance_uid"] for of_job in results for each in of_job]
    delivered = [
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        for path in (tmp_path / "out").rglob("*.dcm")
    ]
    assert sorted(delivered) == sorted(made), "each object once"
    assert len(set(made)) == len(made)
