"""A patient's data through every door that keeps some: none of it can be read from the disk."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pynetdicom import AE
from typer.testing import CliRunner

from serving.attached import attached_service
from serving.cli import keeping_keys
from serving.cli.app import app
from serving.identity.local import LOCAL, passing_key
from serving.jobs.listing import list_jobs
from serving.policy import Role
from serving.records import database_url, open_engine
from tests.identifiers import ACCESSION, BIRTH, CHINESE, LATIN, NUMBER, leaks, leaks_under
from tests.node_bench import radiograph
from tests.risk_samples import PATIENT, RESOURCES, bundle

WORDS = f"{CHINESE} ({LATIN}), {NUMBER}, *{BIRTH}"
NODE = """
port: {port}
sources: [{{name: modality, institution: local, ae_title: MODALITY, quiet_time_s: 0}}]
rules: [{{name: all, models: [chest-xray-pneumonia]}}]
"""
JSON = {"Content-Type": "application/dicom+json"}


@dataclass
class Node:
    """A running service with a node."""

    client: httpx.Client
    home: Path
    port: int

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """What a request that must succeed is answered with."""
        answer = self.client.request(method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.headers.get("content-type", "").endswith("json") else None


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    home = tmp_path_factory.mktemp("at-rest") / "home"
    home.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (home / "node.yaml").write_text(NODE.format(port=port))
    with pytest.MonkeyPatch.context() as environment, (home.parent / "log").open("wb") as log:
        environment.setenv("ZHUZHEN_HOME", str(home))
        environment.delenv("ZHUZHEN_DATABASE_URL", raising=False)
        with (
            attached_service(log=log.fileno()) as service,
            passing_key(*Role) as key,
            httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client,
        ):
            client.headers["Authorization"] = f"Bearer {key}"
            yield Node(client, home, port)


def send_image(node: Node) -> None:
    """Have a modality send an image, and wait until it was read."""
    image = radiograph(
        SpecificCharacterSet="GB18030",
        PatientName=f"{LATIN}={CHINESE}",
        PatientID=NUMBER,
        PatientBirthDate=BIRTH,
        AccessionNumber=ACCESSION,
        StudyDescription=f"chest of {CHINESE}",
    )
    modality = AE("MODALITY")
    modality.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
    association = modality.associate("127.0.0.1", node.port, ae_title="ZHUZHEN")
    assert association.is_established
    status = association.send_c_store(image)
    association.release()
    assert status.Status == 0
    engine = open_engine(database_url())
    deadline = time.monotonic() + 120
    while not [job for job in list_jobs(engine) if job.state == "done"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    engine.dispose()


def keep_a_card(node: Node) -> None:
    """Have a card shown for the patient, and say what became of it."""
    hook = "/cds-services/cardiometabolic-risk"
    patient = PATIENT | {"id": NUMBER, "name": [{"text": CHINESE, "family": LATIN}]}
    observations = [r for r in RESOURCES if r["resourceType"] == "Observation"]
    call = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": f"Practitioner/{LATIN}", "patientId": NUMBER},
        "prefetch": {
            "patient": patient,
            "observations": bundle(observations, "searchset"),
            "conditions": bundle([], "searchset"),
            "medications": bundle([], "searchset"),
        },
    }
    card = node.ask("POST", hook, json=call)["cards"][0]
    told = {
        "card": card["uuid"],
        "outcome": "overridden",
        "overrideReason": {"reason": {"code": "data-wrong"}, "userComment": WORDS},
        "outcomeTimestamp": "2026-11-25T08:00:00Z",
    }
    node.ask("POST", f"{hook}/feedback", json={"feedback": [told]})


def keep_the_rest(node: Node) -> None:
    """Everything else in which somebody names the patient, or writes what they like."""
    patient = {"issuer": LOCAL, "identifier": NUMBER}
    county = {"id": "county", "name": "x", "name_zh": "x", "tier": "secondary"}
    node.ask("POST", "/v1/institutions", json=county)
    node.ask("PUT", f"/v1/institutions/{LOCAL}/referrals", json={"refers_to": ["county"]})
    node.ask("POST", "/v1/referrals", json={"patient": patient, "to": "county"})
    for consent in ({"purpose": "research"}, {"purpose": "sharing", "recipient": "county"}):
        body = {"patient": patient, "evidence": WORDS, **consent}
        node.ask("POST", "/v1/consents", json=body)
    node.ask("POST", "/v1/consents/search", json={"patient": patient})
    node.ask("POST", "/v1/emergency-access", json={"patient": patient, "reason": WORDS})
    node.ask("POST", "/v1/legal-holds", json={"patient": patient, "reason": "court-17"})
    user = {"name": "ouyang", "full_name": f"{CHINESE} {LATIN}", "roles": ["auditor"]}
    node.ask("POST", "/v1/users", json=user)
    node.ask("POST", "/v1/keys", json={"label": WORDS})
    item = {
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": LATIN, "Ideographic": CHINESE}]},
        "00100020": {"vr": "LO", "Value": [NUMBER]},
        "00741204": {"vr": "LO", "Value": [WORDS[:60]]},
    }
    items = "/dicom-web/workitems"
    node.ask("POST", f"{items}/1.2.840.10008.5.1.4.34.5/subscribers/READER")
    node.ask("POST", f"{items}?1.2.3.4", content=json.dumps([item]), headers=JSON)
    claim = {
        "00741000": {"vr": "CS", "Value": ["IN PROGRESS"]},
        "00081195": {"vr": "UI", "Value": ["1.2.3.5"]},
    }
    node.ask("PUT", f"{items}/1.2.3.4/state", content=json.dumps([claim]), headers=JSON)


@pytest.mark.slow
def test_nothing_of_a_patient_can_be_read_from_the_disk(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_image(node)
    keep_a_card(node)
    keep_the_rest(node)

    # It is all there: a person's copy has it.
    copy = node.client.post("/v1/persons/export", json={"identifier": NUMBER})
    assert copy.status_code == 200
    target = node.home.parent / "copy"
    target.write_bytes(copy.content)
    assert leaks_under(node.home) == []
    assert leaks((node.home.parent / "log").read_bytes(), "the log") == []

    # A new data key takes all of it over, whichever door it came through.
    def run(*words: str) -> list[dict[str, Any]]:
        done = CliRunner().invoke(app, ["encryption", *words, "--json"])
        assert done.exit_code == 0
        return [json.loads(line) for line in done.stdout.splitlines()]

    (before,) = run("status")
    assert before["values"] >= 10
    (rotated,) = run("rotate")
    assert rotated["values_left"] == 0
    assert [(key["objects"], key["values"]) for key in run("status")][:-1] == [(0, 0)]
    monkeypatch.setattr(keeping_keys, "SETTLING", keeping_keys.SETTLING * 0)
    assert run("prune") == [{"dropped": [before["data_key"]]}]
    overrides = node.ask("GET", "/v1/emergency-access")["overrides"]
    override = node.ask("GET", f"/v1/emergency-access/{overrides[0]['id']}")
    assert override["reason"] == WORDS
    assert WORDS in {key["label"] for key in node.ask("GET", "/v1/keys")["keys"]}
    assert leaks_under(node.home) == []
