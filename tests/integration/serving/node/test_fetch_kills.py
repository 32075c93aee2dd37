"""A node is killed while a study comes from a PACS: after the next start the rest comes, once."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx
import pytest
from pydicom.uid import generate_uid
from sqlalchemy import Engine, func, select
from typer.testing import CliRunner

from serving.archive.tables import INSTANCES, SERIES, STUDIES
from serving.cli.app import app
from serving.jobs.tables import JOBS
from serving.objects import open_objects
from serving.records import database_url, open_engine
from tests.instance_samples import file_of, instance
from tests.node_kills import Victim
from tests.orthanc import Orthanc, free_port, needs_orthanc, running_orthanc

pytestmark = needs_orthanc
SLICES = 60
NODE = """
port: {{port}}
sources:
  - name: by-move
    institution: local
    ae_title: ORTHANC
    quiet_time_s: 600
    fetch: {{{{from: "ORTHANC@127.0.0.1:{dicom}"}}}}
  - name: by-get
    institution: local
    quiet_time_s: 600
    fetch: {{{{from: "ORTHANC@127.0.0.1:{dicom}", by: c-get}}}}
  - name: by-web
    institution: local
    quiet_time_s: 600
    fetch: {{{{from: "http://127.0.0.1:{http}/dicom-web"}}}}
rules: []
"""


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Orthanc]:
    peers = {"zhuzhen": ["ZHUZHEN", "127.0.0.1", port]}
    with running_orthanc(tmp_path_factory.mktemp("pacs"), DicomModalities=peers) as found:
        yield found


@pytest.fixture(scope="module")
def victim(
    tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc, port: int
) -> Iterator[Victim]:
    home = tmp_path_factory.mktemp("node")
    text = NODE.format(dicom=orthanc.dicom_port, http=orthanc.http_port)
    with mock.patch.dict(os.environ, {"ZHUZHEN_HOME": str(home)}):
        found = Victim(home, text, port)
        found.start()
        yield found
        found.kill()
    assert b"Traceback" not in (home / "log").read_bytes()


@pytest.fixture
def engine(victim: Victim) -> Iterator[Engine]:
    found = open_engine(database_url())
    yield found
    found.dispose()


def a_study_on(orthanc: Orthanc) -> tuple[str, set[str]]:
    """The UIDs of a study and of its slices, which a PACS has now."""
    study, series = generate_uid(), generate_uid()
    slices = [instance(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(SLICES)]
    with httpx.Client(trust_env=False) as client:
        for each in slices:
            client.post(f"{orthanc.url}/instances", content=file_of(each)).raise_for_status()
    return str(study), {str(each.SOPInstanceUID) for each in slices}


def order(source: str, study: str) -> None:
    done = CliRunner().invoke(app, ["node", "fetch", source, "--study", study, "--json"])
    assert done.exit_code == 0, done.output


def here(engine: Engine, study: str) -> int:
    with engine.connect() as connection:
        found = connection.scalar(select(STUDIES.c.instances).where(STUDIES.c.study_uid == study))
    return int(found or 0)


def wait_for(engine: Engine, study: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while here(engine, study) < count:
        assert time.monotonic() < deadline, "the study did not come in time"
        time.sleep(0.003)


@pytest.mark.parametrize("source", ["by-move", "by-get", "by-web"])
def test_the_rest_of_a_study_comes_after_a_kill(
    victim: Victim, orthanc: Orthanc, engine: Engine, source: str
) -> None:
    for _ in range(3):
        study, uids = a_study_on(orthanc)
        order(source, study)
        wait_for(engine, study, 3)
        victim.kill()
        came = here(engine, study)
        victim.start()
        if came < SLICES:
            break
    else:
        pytest.fail("each study was there before the kill")

    wait_for(engine, study, SLICES)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and fetch_of(study)["state"] != "done":
        time.sleep(0.2)
    fetch = fetch_of(study)
    assert (fetch["state"], fetch["listed"], fetch["here"]) == ("done", SLICES, SLICES)
    with engine.connect() as connection:
        rows = connection.execute(
            select(INSTANCES.c.sop_instance_uid, INSTANCES.c.digest)
            .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
            .join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
            .where(STUDIES.c.study_uid == study)
        ).all()
        jobs = connection.scalar(
            select(func.count())
            .select_from(JOBS)
            .join(STUDIES, STUDIES.c.id == JOBS.c.study_id)
            .where(STUDIES.c.study_uid == study)
        )
    assert sorted(row.sop_instance_uid for row in rows) == sorted(uids), "each once"
    objects = open_objects(Path(victim.home))
    assert all(objects.get(row.digest) for row in rows), "each whole"
    assert jobs is not None
    assert jobs <= 1, "one for the study that is complete"


def fetch_of(study: str) -> dict[str, object]:
    told = CliRunner().invoke(app, ["node", "fetches", "--json"]).stdout
    (found,) = [
        line for line in map(json.loads, told.splitlines()) if line["study_instance_uid"] == study
    ]
    return dict(found)
