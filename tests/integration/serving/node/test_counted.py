"""A study of which all is here is looked at while its sender still holds the association."""

import time
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from serving.access import Guard
from serving.archive import Archive
from serving.dimse.listener import Listener
from serving.node.access import Gatekeeper
from serving.node.storing import Storing
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.records import open_engine, upgrade
from serving.routing.node_file import parse_node
from tests.guards import PROGRAM, MemoryRecorder, OneKey
from tests.instance_samples import file_of, instance
from tests.integration.serving.node.conftest import free_port

NODE = """
port: {port}
sources:
  - {{name: pairs, institution: local, ae_title: PAIRS, expected_instances: 2}}
  - {{name: any, institution: local, ae_title: ANY}}
"""


def as_read(**elements: str) -> Dataset:
    return pydicom.dcmread(BytesIO(file_of(instance(**elements))))


def test_the_worker_is_woken_with_the_last_instance(tmp_path: Path) -> None:
    node = parse_node(NODE.format(port=free_port()))
    engine = open_engine(f"sqlite:///{tmp_path / 'records.sqlite3'}")
    upgrade(engine)
    keyring = open_keyring(tmp_path)
    archive = Archive(engine, open_objects(tmp_path, keyring=keyring), keyring)
    guard = Guard(engine, MemoryRecorder(), OneKey(PROGRAM), keyring)
    woken: list[str] = []
    handler = Storing(
        archive,
        Gatekeeper(guard),
        node,
        lambda: woken.append("association ended"),
        all_here=lambda: woken.append("all here"),
    )
    with Listener(node.listener, handler) as listener:
        study = generate_uid()
        first, last, other = (as_read(StudyInstanceUID=study) for _ in range(3))
        for title, expected in (("PAIRS", ["all here"]), ("ANY", [])):
            entity = AE(title)
            entity.add_requested_context(first.SOPClassUID, ExplicitVRLittleEndian)
            association = entity.associate("127.0.0.1", listener.port, ae_title="ZHUZHEN")
            assert association.is_established
            for image in (first, first, last) if title == "PAIRS" else (other,):
                # The same instance again is none of the two.
                assert woken == []
                assert association.send_c_store(image).Status == 0
            assert woken == expected
            association.release()
            while "association ended" not in woken:
                time.sleep(0.01)
            woken.clear()
    archive.close()
    engine.dispose()
