"""A node that fetches from a real Orthanc, for the tests of one file."""

import os
from collections.abc import Iterator
from unittest import mock

import pytest

from serving.attached import AttachedService, attached_service
from tests.fetching_node import Ports
from tests.orthanc import Orthanc, free_port, running_orthanc

NODE = """
port: {node}
sources:
  - name: by-move
    institution: local
    ae_title: ORTHANC
    quiet_time_s: 600
    fetch: {{from: "ORTHANC@127.0.0.1:{orthanc}"}}
  - name: by-get
    institution: local
    quiet_time_s: 600
    fetch: {{from: "ORTHANC@127.0.0.1:{orthanc}", by: c-get}}
  - name: by-web
    institution: local
    quiet_time_s: 600
    fetch:
      from: "http://127.0.0.1:{web}/dicom-web"
      username: reader
      password_env: TEST_PACS_PASSWORD
  - name: by-dcmtk
    institution: local
    ae_title: QRSCP
    quiet_time_s: 600
    fetch: {{from: "QRSCP@127.0.0.1:{dcmtk}"}}
  - name: away
    institution: local
    quiet_time_s: 600
    fetch: {{from: "http://127.0.0.1:{away}/dicom-web", timeout_s: 2}}
  - name: stranger
    institution: local
    ae_title: STRANGER
rules:
  - {{name: chests, when: {{modality: [CR, DX]}}, models: [chest-xray-pneumonia]}}
"""


@pytest.fixture(scope="module")
def ports() -> Ports:
    return Ports(free_port(), free_port(), free_port())


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, ports: Ports) -> Iterator[Orthanc]:
    peers = {"zhuzhen": ["ZHUZHEN", "127.0.0.1", ports.node]}
    with running_orthanc(tmp_path_factory.mktemp("pacs"), DicomModalities=peers) as found:
        yield found


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc, ports: Ports
) -> Iterator[AttachedService]:
    home = tmp_path_factory.mktemp("node")
    text = NODE.format(
        node=ports.node,
        orthanc=orthanc.dicom_port,
        web=orthanc.http_port,
        dcmtk=ports.dcmtk,
        away=ports.away,
    )
    (home / "node.yaml").write_text(text)
    environment = {"ZHUZHEN_HOME": str(home), "TEST_PACS_PASSWORD": "not shown"}
    with (
        mock.patch.dict(os.environ, environment),
        (home / "log").open("wb") as log,
        attached_service(log=log.fileno()) as service,
    ):
        yield service
    assert b"Traceback" not in (home / "log").read_bytes()
