"""The node's own jobs as work items, to those who watch the worklist."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
from pydicom.uid import generate_uid
from sqlalchemy import Connection
from typer.testing import CliRunner

from serving.archive.entries import sealed
from serving.archive.tables import STUDIES, StudyState
from serving.cli.app import app
from serving.identity.local import LOCAL
from serving.jobs.planning import Plan
from serving.jobs.tables import JOBS
from serving.persons.person import Person
from serving.persons.worklist import WorklistItems
from serving.privacy import Keyring, open_keyring
from serving.records import database_url, open_engine, writing
from tests.event_listener import GLOBAL, STATE, listening, subscribe, told, value
from tests.instance_samples import file_of, instance
from tests.integration.serving.node.conftest import RunningNode
from tests.node_bench import radiograph

LABEL, REASON, REPLACED = "00741204", "00741238", "00741224"


@pytest.fixture
def http(node: RunningNode) -> Iterator[httpx.Client]:
    with node.client() as client:
        yield client


@pytest.fixture
def title() -> str:
    """An AE title that no other test uses."""
    return f"J{generate_uid()[-13:]}"


def test_the_nodes_own_jobs_are_reported(node: RunningNode, http: httpx.Client, title: str) -> None:
    subscribe(http, GLOBAL, title)
    image = instance(Modality="DX", SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1")
    http.post(
        "/dicom-web/studies",
        content=file_of(image),
        headers={"Content-Type": "application/dicom"},
    ).raise_for_status()
    with listening(node.service, title) as connection:
        reports = [json.loads(connection.recv(60)) for _ in range(3)]
    assert [told(each) for each in reports[:2]] == [(1, "SCHEDULED"), (1, "IN PROGRESS")]
    assert told(reports[2]) in ((1, "COMPLETED"), (1, "CANCELED"))
    uid = value(reports[0], "00001000")
    assert {value(each, "00001000") for each in reports} == {uid}
    (item,) = http.get(f"/dicom-web/workitems/{uid}").json()
    assert value(item, STATE) == told(reports[2])[1]
    assert http.post(f"/dicom-web/workitems/{uid}/cancelrequest").status_code == 409
    http.delete(f"/dicom-web/workitems/{GLOBAL}/subscribers/{title}").raise_for_status()


def test_a_job_says_what_it_read_and_where_its_results_are(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    image = radiograph(StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid())
    stream = BytesIO()
    image.save_as(stream)
    subscribe(http, GLOBAL, title)
    kind = {"Content-Type": "application/dicom"}
    http.post("/dicom-web/studies", content=stream.getvalue(), headers=kind).raise_for_status()
    with listening(node.service, title) as connection:
        reports = [json.loads(connection.recv(60)) for _ in range(3)]
    assert told(reports[2]) == (1, "COMPLETED")
    (item,) = http.get(f"/dicom-web/workitems/{value(reports[2], '00001000')}").json()
    (read,) = item["00404021"]["Value"]
    assert value(value(read, "00081199"), "00081155") == image.SOPInstanceUID
    performed = value(item, "00741216")
    assert value(performed, "00404050") <= value(performed, "00404051")
    made = performed["00404033"]["Value"]
    assert len(made) == 2, "a picture and a report, of an image without a finding"
    for series in (read, *made):
        assert value(series, "0020000D") == image.StudyInstanceUID
        place = value(value(series, "0040E025"), "00081190")
        metadata = http.get(f"{place}/metadata").json()
        assert [each["00080018"]["Value"] for each in metadata] == [
            each["00081155"]["Value"] for each in series["00081199"]["Value"]
        ]
    http.delete(f"/dicom-web/workitems/{GLOBAL}/subscribers/{title}").raise_for_status()


def test_a_job_that_is_retried_is_a_new_work_item_that_names_the_old(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    subscribe(http, GLOBAL, title)
    image = instance(
        Modality="DX",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1",
        StudyDescription="no such model",
        PatientID="P-RETRIED",
    )
    http.post(
        "/dicom-web/studies",
        content=file_of(image),
        headers={"Content-Type": "application/dicom"},
    ).raise_for_status()
    ended = [(1, "SCHEDULED"), (1, "IN PROGRESS"), (1, "CANCELED")]
    uids = []
    with listening(node.service, title) as connection:
        for _ in range(3):
            reports = [json.loads(connection.recv(60)) for _ in range(3)]
            assert [told(each) for each in reports] == ended
            assert "no-such-model" in value(reports[2], REASON)
            (uid,) = {value(each, "00001000") for each in reports}
            uids.append(uid)
            (item,) = http.get(f"/dicom-web/workitems/{uid}").json()
            job = value(item, LABEL).rpartition(" ")[2]
            if len(uids) == 2:
                # Who asked for this work item alone is told of the one that replaces it, too.
                subscribe(http, uid, title + "2")
            retried = CliRunner().invoke(app, ["jobs", "retry", job])
            assert retried.exit_code == 0, retried.output
    assert len(set(uids)) == 3
    with listening(node.service, title + "2") as connection:
        reports = [json.loads(connection.recv(60)) for _ in range(3)]
    assert [told(each) for each in reports] == [ended[2], *ended[:2]]
    assert [value(each, "00001000") for each in reports] == [uids[1], uids[2], uids[2]]
    items = [http.get(f"/dicom-web/workitems/{uid}").json()[0] for uid in uids]
    assert [value(each, STATE) for each in items] == ["CANCELED"] * 3
    assert REPLACED not in items[0]
    assert [value(value(each, REPLACED), "00081155") for each in items[1:]] == uids[:2]
    found = http.get("/dicom-web/workitems", params={LABEL: f"Pre-read, job {job}"}).json()
    assert {value(each, "00080018") for each in found} >= set(uids)
    assert http.post(f"/dicom-web/workitems/{uids[0]}/cancelrequest").status_code == 409
    # What is kept of those that ended is the patient's, as the study is.
    keyring, engine = open_keyring(node.home), open_engine(database_url(home=node.home))
    person = Person.of(keyring, LOCAL, image.PatientID)
    of_person = b"".join(
        each.content for each in WorklistItems(engine, keyring).export(person)
    ).decode()
    engine.dispose()
    assert [uid in of_person for uid in uids] == [True, True, True]
    for each in (title, title + "2"):
        http.delete(f"/dicom-web/workitems/{GLOBAL}/subscribers/{each}").raise_for_status()


def test_every_job_is_found_page_by_page_and_retrieved(
    node: RunningNode, http: httpx.Client
) -> None:
    study, count = generate_uid(), 2100
    keyring, engine = open_keyring(node.home), open_engine(database_url(home=node.home))
    with writing(engine) as connection:
        _insert_jobs(connection, keyring, study, count)
    engine.dispose()
    found: list[Any] = []
    for offset, expected in ((0, 1000), (1000, 1000), (2000, 100)):
        answer = http.get("/dicom-web/workitems", params={"0020000D": study, "offset": offset})
        assert len(answer.json()) == expected
        assert ("additional results" in answer.headers.get("Warning", "")) == (offset < 2000)
        found += answer.json()
    labels = [value(each, LABEL).rpartition(" ")[2] for each in found]
    assert labels == [f"many-{number}" for number in reversed(range(count))]
    assert len({value(each, "00080018") for each in found}) == count
    asked = {"0020000D": study, STATE: "CANCELED"}
    (failed,) = http.get("/dicom-web/workitems", params=asked).json()
    assert value(failed, LABEL).endswith(" many-0")
    assert http.get("/dicom-web/workitems", params=asked | {"offset": 1}).status_code == 204
    oldest = f"/dicom-web/workitems/{value(found[-1], '00080018')}"
    assert http.get(oldest).json()[0][LABEL] == found[-1][LABEL]
    assert http.post(f"{oldest}/cancelrequest").status_code == 409
    assert http.get("/dicom-web/workitems/2.25.4").status_code == 404


def _insert_jobs(connection: Connection, keyring: Keyring, study: str, count: int) -> None:
    """Put ended jobs of one study into the records, the first of them failed."""
    columns = {"institution": LOCAL, "source": "modality"}
    of_study = {"study_date": "", "patient_index": "", "accession_index": "", "instances": 0}
    moments = {"first_received_at": 0.0, "last_received_at": 0.0}
    made = STUDIES.insert().values(
        **columns | of_study | moments,
        study_uid=study,
        attributes=sealed(keyring, {}, STUDIES.name),
        state=StudyState.COMPLETE.value,
        version=count,
    )
    number = connection.execute(made.returning(STUDIES.c.id)).scalar_one()
    ended = {"plan": Plan((), False, ()).to_json(), "urgent": False, "reason": ""}
    attempts = {"attempt": 1, "enqueued_attempt": 1, "last_instance_id": 0}
    connection.execute(
        JOBS.insert(),
        [
            columns
            | ended
            | attempts
            | {"id": f"many-{each}", "study_id": number, "version": each}
            | {"state": "done" if each else "failed", "created_at": each, "updated_at": each}
            for each in range(count)
        ],
    )
