"""Programs that receive instances: this service, DCMTK's storescp, Orthanc."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.homes import own_home
from serving.attached import attached_service

ZHUZHEN, UNSYNCED = "zhuzhen", "zhuzhen, not synced"
DCMTK, ORTHANC = "DCMTK storescp", "Orthanc"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_START_S = 60.0
_NODE = """
port: {port}
durability: {durability}
sources:
  - {name: bench, institution: local, ae_title: BENCH, quiet_time_s: 3600}
"""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a receiver is reached."""

    name: str
    port: int
    ae_title: str
    stow: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    rest: str | None = None
    """Base of Orthanc's own interface."""


def dcmtk_program(name: str) -> str:
    """Return the path of DCMTK's program; pynetdicom brings others of the same names.

    Raises:
        RuntimeError: it is not installed.
    """
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/opt/homebrew/bin")
    if found is None:
        raise RuntimeError(f"DCMTK's {name} is not installed; it is what sends (package dcmtk).")
    return found


@contextlib.contextmanager
def open_receivers(folder: Path) -> Iterator[list[Receiver]]:
    """Start every receiver that is installed; what they keep lies in `folder` or at home."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(zhuzhen_node(folder, ZHUZHEN, _node("power-cut"))),
            stack.enter_context(zhuzhen_node(folder, UNSYNCED, _node("process-end"))),
            stack.enter_context(_storescp(folder)),
        ]
        if shutil.which("Orthanc") and _PLUGIN.exists():
            found.append(stack.enter_context(orthanc(folder)))
        yield found
    shutil.rmtree(folder)


def _node(durability: str) -> str:
    return _NODE.replace("{durability}", durability)


@contextlib.contextmanager
def zhuzhen_node(folder: Path, name: str, node: str) -> Iterator[Receiver]:
    """Start the service with `node` as its `node.yaml`, where `{port}` stands for its port.

    Its home is the folder `name` in `folder`.
    """
    port = _free_port()
    home = folder / name
    home.mkdir()
    (home / "node.yaml").write_text(node.replace("{port}", str(port)), "utf-8")
    with (
        own_home(home),
        (folder / f"{name}.log").open("wb") as log,
        attached_service(log=log.fileno()) as service,
    ):
        _wait(port)
        stow = f"{service.url}/dicom-web/studies"
        yield Receiver(name, port, "ZHUZHEN", stow, service.headers)


@contextlib.contextmanager
def _storescp(folder: Path) -> Iterator[Receiver]:
    out = folder / "storescp"
    out.mkdir()
    port = _free_port()
    # A process for each association, or the eight would queue.
    options = ("--fork", "-od", str(out), "-pdu", "131072")
    with _running([dcmtk_program("storescp"), *options, str(port)], folder / "storescp.log", port):
        yield Receiver(DCMTK, port, "ANY-SCP")


@contextlib.contextmanager
def orthanc(folder: Path) -> Iterator[Receiver]:
    """Start Orthanc with its data in `folder`."""
    http_port, dicom_port = _free_port(), _free_port()
    settings = {
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": False,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "Plugins": [str(_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    with _running(["Orthanc", str(file)], folder / "orthanc.log", dicom_port):
        rest = f"http://127.0.0.1:{http_port}"
        yield Receiver(ORTHANC, dicom_port, "ORTHANC", f"{rest}/dicom-web/studies", rest=rest)


@contextlib.contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env={**os.environ, "TCP_NODELAY": "1"}, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        _wait(port)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"Nothing listens on port {port} after {_START_S:g} s.")
