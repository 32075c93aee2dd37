"""Modalities that show a certificate, and others: DCMTK against the node's listener."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving.access import Guard
from serving.archive import Archive
from serving.audit import AuditEvent
from serving.dimse.config import DimseSettingError
from serving.dimse.listener import Listener
from serving.node.access import Gatekeeper
from serving.node.storing import Storing
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.records import open_engine, upgrade
from serving.routing.node_file import NodeFileError, parse_node
from tests.certificates import Authority
from tests.guards import PROGRAM, MemoryRecorder, OneKey
from tests.instance_samples import file_of, instance
from tests.integration.serving.node.conftest import dcmtk

NODE = """
port: 0
tls: {{certificate: {certificate}, key: {key}, client_authorities: {authorities}}}
sources:
  - name: ct
    institution: local
    ae_title: CT1
    certificate_names: [ct1.hospital.example]
  - name: mr
    institution: local
    ae_title: MR1
    certificate_names: [mr1.hospital.example]
  - name: any
    institution: local
    ae_title: ANY
"""


@dataclass(frozen=True)
class Hospital:
    """A listener, and the authorities around it."""

    own: Authority
    other: Authority
    port: int
    recorder: MemoryRecorder
    archive: Archive

    def send(self, title: str, *options: str | Path) -> tuple[int, str, list[AuditEvent]]:
        """Send one instance as `title`: exit status, what DCMTK said, what is on record of it."""
        self.recorder.events.clear()
        file = self.own.certificate.parent / "image.dcm"
        file.write_bytes(file_of(instance()))
        program = (dcmtk("storescu"), "-v", "-aet", title, "-aec", "ZHUZHEN")
        done = subprocess.run(
            [*program, *map(str, options), "127.0.0.1", str(self.port), str(file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr, self.recorded()

    def recorded(self) -> list[AuditEvent]:
        """What is on record, which may be a moment after the caller was turned away."""
        deadline = time.monotonic() + 20
        while not self.recorder.events and time.monotonic() < deadline:
            time.sleep(0.02)
        return list(self.recorder.events)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("hospital")
    own, other = Authority(folder, "own"), Authority(folder, "other")
    certificate, key = own.issue("node.hospital.example")
    node = parse_node(
        NODE.format(certificate=certificate, key=key, authorities=own.certificate), folder=folder
    )
    engine = open_engine(f"sqlite:///{folder / 'records.sqlite3'}")
    upgrade(engine)
    keyring = open_keyring(folder)
    archive = Archive(engine, open_objects(folder, keyring=keyring), keyring)
    recorder = MemoryRecorder()
    guard = Guard(engine, recorder, OneKey(PROGRAM), keyring)
    handler = Storing(archive, Gatekeeper(guard), node, lambda: None)
    with Listener(node.listener, handler) as listener:
        yield Hospital(own, other, listener.port, recorder, archive)
    archive.close()
    engine.dispose()


def identified(pair: tuple[Path, Path], authority: Authority) -> tuple[str | Path, ...]:
    certificate, key = pair
    return ("+tls", key, certificate, "+cf", authority.certificate)


def test_the_right_certificate_is_let_in(hospital: Hospital) -> None:
    shown = identified(hospital.own.issue("ct1.hospital.example"), hospital.own)
    status, said, events = hospital.send("CT1", *shown)
    assert status == 0, said
    assert [(event.outcome.value, event.actor) for event in events] == [("allowed", "source:ct")]
    # A source of which no name is asked: any certificate of the authority.
    assert hospital.send("ANY", *shown)[0] == 0


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_every_profile_of_dcmtk_that_is_not_retired(hospital: Hospital, profile: str) -> None:
    shown = identified(hospital.own.issue("ct1.hospital.example"), hospital.own)
    assert hospital.send("CT1", *shown, profile)[0] == 0


def test_none_is_turned_away(hospital: Hospital) -> None:
    """Without TLS, and with TLS but no certificate."""
    for options in ((), ("+tla", "+cf", hospital.own.certificate)):
        status, _, events = hospital.send("CT1", *options)
        assert status != 0
        assert [(event.outcome.value, event.actor, event.reason) for event in events] == [
            ("denied", "anonymous", "no_acceptable_tls")
        ]
        assert events[0].source_address == "127.0.0.1"


def test_another_authoritys_and_an_expired_one_are_turned_away(hospital: Hospital) -> None:
    foreign = hospital.other.issue("ct1.hospital.example")
    expired = hospital.own.issue("old.hospital.example", days=-1)
    for pair, alert in ((foreign, "UNKNOWN_CA"), (expired, "CERTIFICATE_EXPIRED")):
        status, _, events = hospital.send("CT1", *identified(pair, hospital.own))
        assert status != 0
        assert [(event.outcome.value, event.reason) for event in events] == [
            ("denied", "certificate_refused")
        ]
        # What is wrong with it is told by an alert, which DCMTK does not show.
        assert alert in alert_to(hospital, pair)


def alert_to(hospital: Hospital, pair: tuple[Path, Path]) -> str:
    hospital.recorder.events.clear()
    context = ssl.create_default_context(cafile=str(hospital.own.certificate))
    context.load_cert_chain(*pair)
    # Of TLS 1.3 a client would learn it with its first read only.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", hospital.port), timeout=20) as peer,
        pytest.raises(ssl.SSLError) as refused,
    ):
        context.wrap_socket(peer, server_hostname="127.0.0.1")
    assert hospital.recorded()
    return refused.value.reason


def test_a_certificate_is_good_for_its_own_ae_title_alone(hospital: Hospital) -> None:
    shown = identified(hospital.own.issue("ct1.hospital.example"), hospital.own)
    for title, reason in (("MR1", "certificate_of_others"), ("CT2", "caller_not_known")):
        status, said, events = hospital.send(title, *shown)
        assert status != 0
        assert "Calling AE Title Not Recognized" in said
        assert [(event.outcome.value, event.reason) for event in events] == [("denied", reason)]


def test_weak_ciphers_find_no_partner(hospital: Hospital) -> None:
    shown = identified(hospital.own.issue("ct1.hospital.example"), hospital.own)
    status, _, events = hospital.send("CT1", *shown, "+pa")
    assert status != 0
    assert [event.reason for event in events] == ["no_acceptable_tls"]


def test_names_without_asking_for_certificates_are_a_mistake(tmp_path: Path) -> None:
    text = "sources:\n  - {name: ct, institution: local, ae_title: CT1, certificate_names: [ct1]}\n"
    with pytest.raises(NodeFileError, match="nobody is asked for a certificate"):
        parse_node(text, folder=tmp_path)
    assert issubclass(DimseSettingError, ValueError)
