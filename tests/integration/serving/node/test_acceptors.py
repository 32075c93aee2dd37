"""Processes that receive beside the service: what they take, what they lose, when they end."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx
import psutil
import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from serving.attached import AttachedService, attached_service
from serving.cli.app import app
from serving.node import runtime
from tests.broken_instances import request_unit
from tests.instance_samples import file_of, instance
from tests.integration.serving.node.conftest import dcmtk, free_port
from tests.integration.serving.node.test_receiving import eventually

_NODE = """
port: {port}
processes: 2
max_associations: 3
sources:
  - {{name: modality, institution: local, ae_title: MODALITY, quiet_time_s: 3600}}
  - {{name: elsewhere, institution: local, ae_title: ELSEWHERE, addresses: [10.9.9.0/24]}}
"""


class Node:
    """A running service, and the processes beside it."""

    def __init__(self, service: AttachedService, port: int, log: Path) -> None:
        self.service, self.port, self.log = service, port, log

    def acceptors(self) -> dict[int, psutil.Process]:
        """Those that have said that they can serve and are there, by process number."""
        return {
            process.pid: process
            for process in psutil.Process().children(recursive=True)
            if "serving.node.acceptor" in command_of(process)
            and f"receives ({process.pid})" in self.log.read_text("utf-8")
        }

    def serving(self, connection: socket.socket) -> int:
        """The process number of what serves a connection."""
        port = connection.getsockname()[1]
        [found] = {
            entry.pid
            for entry in psutil.net_connections("tcp4")
            if entry.raddr and entry.raddr.port == port and entry.pid not in (None, os.getpid())
        }
        assert isinstance(found, int)
        return found

    def send(self, *files: Path) -> "subprocess.Popen[bytes]":
        """Begin to send."""
        titles = ("-aet", "MODALITY", "-aec", "ZHUZHEN", "127.0.0.1", str(self.port))
        return subprocess.Popen([dcmtk("storescu"), *titles, *map(str, files)])

    def known(self) -> int:
        """How many instances a search finds."""
        with self.client() as client:
            answer = client.get("/dicom-web/instances", params={"limit": "1000"})
        return len(answer.json()) if answer.content else 0

    def counted(self, outcome: str) -> float:
        """How many the metrics tell of."""
        line = f'zhuzhen_instances_total{{outcome="{outcome}",way="c-store"}} '
        with self.client() as client:
            told = client.get("/metrics").text
        return sum(float(each[len(line) :]) for each in told.splitlines() if each.startswith(line))

    def client(self) -> httpx.Client:
        """A client with a key; no proxy of the environment."""
        return httpx.Client(
            base_url=self.service.url, headers=self.service.headers, timeout=60, trust_env=False
        )


def command_of(process: psutil.Process) -> list[str]:
    command: list[str] = []
    with contextlib.suppress(psutil.Error):
        command = process.cmdline()
    return command


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    home = tmp_path_factory.mktemp("acceptors")
    port = free_port()
    (home / "node.yaml").write_text(_NODE.format(port=port))
    with (
        mock.patch.dict(os.environ, {"ZHUZHEN_HOME": str(home)}),
        (home / "log").open("wb") as log,
        attached_service(log=log.fileno()) as service,
    ):
        found = Node(service, port, home / "log")
        eventually(lambda: len(found.acceptors()) == 2)
        yield found


@contextlib.contextmanager
def associated(node: Node) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as found:
        found.sendall(request_unit("MODALITY"))
        assert found.recv(4096)[0] == 2
        yield found


def files_in(folder: Path, count: int) -> list[Path]:
    study = generate_uid()
    files = [folder / f"{number}.dcm" for number in range(count)]
    for file in files:
        file.write_bytes(file_of(instance(StudyInstanceUID=study)))
    return files


def test_associations_are_shared_out(node: Node, tmp_path: Path) -> None:
    with associated(node) as one, associated(node) as two, associated(node) as three:
        served = sorted(node.serving(each) for each in (one, two, three))
        assert set(served) == set(node.acceptors())
        # The bound is of all together.
        with socket.create_connection(("127.0.0.1", node.port), timeout=10) as fourth:
            fourth.sendall(request_unit("MODALITY"))
            assert fourth.recv(4096)[0] == 3


def test_what_comes_is_there_at_once_and_counted(node: Node, tmp_path: Path) -> None:
    before, counted = node.known(), node.counted("new")
    files = files_in(tmp_path, 30)
    senders = [node.send(*files[number::3]) for number in range(3)]
    assert [sender.wait(60) for sender in senders] == [0, 0, 0]
    assert node.known() == before + 30
    eventually(lambda: node.counted("new") == counted + 30)


def test_they_run_the_code_of_the_service_wherever_it_lies(node: Node) -> None:
    # A Bento's is not installed, nor in the folder that the service was started in.
    root = str(Path(runtime.__file__).parents[2])
    for process in node.acceptors().values():
        assert process.environ()["PYTHONPATH"].split(os.pathsep)[0] == root


def test_the_service_decides_who_is_let_in(node: Node) -> None:
    echo, address = dcmtk("echoscu"), ("127.0.0.1", str(node.port))

    def status(title: str) -> int:
        command = [echo, "-aet", title, "-aec", "ZHUZHEN", *address]
        return subprocess.run(command, check=False, capture_output=True).returncode

    assert status("MODALITY") == 0
    assert status("STRANGER") != 0
    assert status("ELSEWHERE") != 0


def test_what_goes_into_quarantine_is_on_record(node: Node, tmp_path: Path) -> None:
    known = instance(PatientID="P-1")
    file, changed = tmp_path / "known.dcm", tmp_path / "changed.dcm"
    file.write_bytes(file_of(known))
    assert node.send(file).wait(60) == 0
    known.PatientName = "Other^Name"
    changed.write_bytes(file_of(known))
    assert node.send(changed).wait(60) != 0
    told = CliRunner().invoke(app, ["audit", "export", "--format", "json"]).stdout
    events = [json.loads(line) for line in told.splitlines()]
    (event,) = [each for each in events if each["operation"] == "quarantine"]
    assert (event["actor"], event["reason"]) == ("source:modality", "conflict")
    assert event["patient"].startswith("p-")


def test_one_that_is_killed_loses_nothing_that_was_acknowledged(node: Node, tmp_path: Path) -> None:
    before = node.known()
    assert node.send(*files_in(tmp_path, 5)).wait(60) == 0
    killed = node.acceptors()
    with associated(node) as one, associated(node) as two:
        for process in killed.values():
            process.kill()
        # Their senders see it at once.
        for each in (one, two):
            with contextlib.suppress(ConnectionResetError):
                assert each.recv(1) == b""
    # Meanwhile the service serves, in all of the places.
    with associated(node) as one, associated(node), associated(node):
        assert node.serving(one) not in killed
        assert node.known() == before + 5
    others = eventually(lambda: len(node.acceptors()) == 2 and node.acceptors())
    assert isinstance(others, dict)
    assert not set(others) & set(killed)
    with associated(node) as one:
        assert node.serving(one) in others


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_they_end_with_the_service(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "node.yaml").write_text(_NODE.format(port=free_port()))
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", "tests.node_alone"],
            env={**os.environ, "ZHUZHEN_HOME": str(tmp_path)},
            stdin=subprocess.PIPE,
            stderr=log,
        )
    told = tmp_path / "log"
    eventually(lambda: told.read_text("utf-8").count("beside the service receives") == 2)
    beside = psutil.Process(service.pid).children()
    assert len(beside) == 2
    if how is signal.SIGKILL:
        service.kill()
    else:
        # As a terminal or a supervisor stops a service: the signal reaches all its processes.
        for process in beside:
            process.send_signal(signal.SIGTERM)
    assert service.stdin is not None
    service.stdin.close()
    service.wait(30)
    _, alive = psutil.wait_procs(beside, timeout=30)
    assert not alive
    errors = [
        line
        for line in told.read_text("utf-8").splitlines()
        if json.loads(line)["level"] == "ERROR"
    ]
    assert errors == []
