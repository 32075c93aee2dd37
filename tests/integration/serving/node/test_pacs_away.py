"""A PACS that is not there when results are ready, and comes back: Orthanc, started late."""

import time
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from serving.jobs.listing import JobLine, list_jobs, retry_job, show_job
from serving.node.senders import open_senders
from serving.routing import Node
from serving.routing.node_file import parse_node
from tests.node_bench import Bench, eventually, radiograph
from tests.orthanc import free_port, needs_orthanc, running_orthanc

NODE = """
sources:
  - {{name: quick, institution: local, quiet_time_s: 0}}
rules:
  - {{name: chest, models: [chest-xray-pneumonia], destinations: [patient, impatient]}}
destinations:
  - {{name: patient, to: "ORTHANC@127.0.0.1:{port}", timeout_s: 5}}
  - {{name: impatient, to: "ORTHANC@127.0.0.1:{port}", timeout_s: 5, give_up_after_s: 2}}
"""
STUDIES = 3


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@needs_orthanc
def test_what_waited_for_a_pacs_arrives_once_when_it_is_back(bench: Bench, tmp_path: Path) -> None:
    port = free_port()
    text = NODE.format(port=port)
    senders = open_senders(parse_node(text).destinations)
    with bench.worker(text, senders) as worker:
        for _ in range(STUDIES):
            bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")

        def waiting() -> list[JobLine]:
            """The jobs, once each destination has done with an hour's absence what it does."""
            jobs = list_jobs(bench.engine)
            expected = {"patient": "queued", "impatient": "failed"}
            is_so = len(jobs) == STUDIES and all(job.deliveries == expected for job in jobs)
            return jobs if is_so else []

        jobs = eventually(waiting, 180)
        time.sleep(3.0)
        assert jobs == waiting(), "who is patient waits on"
        (delivery,) = [
            each
            # The oldest: two are sent at a time, the others wait for their turn.
            for each in show_job(bench.engine, jobs[-1].id)["deliveries"]
            if each["destination"] == "patient"
        ]
        assert delivery["tries"] > 1
        assert "cannot be reached" in delivery["reason"]

        with running_orthanc(tmp_path / "orthanc", DicomPort=port) as orthanc:
            # The dead letters are sent again by hand; the others go by themselves.
            for job in list_jobs(bench.engine, "dead"):
                with bench.engine.begin() as connection:
                    retry_job(connection, bench.archive.keyring, Node(), job.id)
            worker.wake()
            jobs = bench.settled(STUDIES, seconds=180)
            assert {state for job in jobs for state in job.deliveries.values()} == {"done"}
            results = [show_job(bench.engine, job.id)["results"] for job in jobs]
            made = {each["sop_instance_uid"] for of_job in results for each in of_job}
            assert set(orthanc.instances()) == made
