"""A node of one's own: the whole service in a second process, with a node.yaml."""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import httpx
import pytest
from sqlalchemy import Engine

from serving.attached import AttachedService, attached_service
from serving.records import open_engine, upgrade
from tests.node_bench import Bench


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A service that is an imaging node, too."""

    service: AttachedService
    home: Path
    dimse_port: int
    log: Path

    def client(self) -> httpx.Client:
        """A client with a key; no proxy of the environment."""
        return httpx.Client(
            base_url=self.service.url, headers=self.service.headers, timeout=60, trust_env=False
        )


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Records with their tables, on each database in turn."""
    found = open_engine(database_url)
    upgrade(found)
    yield found
    found.dispose()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dcmtk(program: str) -> str:
    """The path of a program of DCMTK; pynetdicom brings others of the same names."""
    found = shutil.which(program, path="/usr/local/bin:/usr/bin:/opt/homebrew/bin")
    if found is None:
        pytest.skip(f"DCMTK's {program} is not installed (Debian package dcmtk)")
    return found


NODE_FILE = """
port: {port}
sources:
  - name: modality
    institution: local
    ae_title: MODALITY
    quiet_time_s: 0.3
  - name: elsewhere
    institution: local
    ae_title: ELSEWHERE
    addresses: [10.9.9.0/24]
rules:
  - name: nothing-there
    when: {{description: no such model}}
    models: [no-such-model]
  - name: children
    when: {{modality: [CR, DX]}}
    models: [chest-xray-pneumonia]
    priority: urgent
    destinations: [out]
destinations:
  - name: out
    to: folder:{out}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node that listens as long as the tests of one file last; the environment names its home."""
    home = tmp_path_factory.mktemp("node")
    with running_node(home, home / "log") as found:
        yield found


@contextlib.contextmanager
def running_node(home: Path, log_path: Path) -> Iterator[RunningNode]:
    """A node in `home`, which the environment names as long as it runs."""
    port = free_port()
    (home / "node.yaml").write_text(NODE_FILE.format(port=port, out=home / "out"))
    with (
        # The key is made in this process, the service runs in another one.
        mock.patch.dict(os.environ, {"ZHUZHEN_HOME": str(home)}),
        log_path.open("wb") as log,
        attached_service(log=log.fileno()) as service,
    ):
        yield RunningNode(service, home, port, log_path)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An archive and what carries out jobs on it, in this process."""
    with contextlib.closing(Bench(tmp_path)) as found:
        yield found
