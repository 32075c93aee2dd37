"""A real PACS: Debian's Orthanc with its DICOMweb plugin, on free ports, in a folder of its own."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

_PLUGINS = Path("/usr/share/orthanc/plugins")
_START_S = 30.0

needs_orthanc = pytest.mark.skipif(
    shutil.which("Orthanc") is None or not (_PLUGINS / "libOrthancDicomWeb.so").exists(),
    reason="orthanc and orthanc-dicomweb are not installed",
)


def free_port() -> int:
    """A TCP port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Orthanc:
    """Where a running Orthanc is reached."""

    http_port: int
    dicom_port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Base of its own interface."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        """Base of its DICOMweb service."""
        return f"{self.url}/dicom-web"

    @property
    def dimse(self) -> str:
        """Its address as a DICOM peer."""
        return f"ORTHANC@127.0.0.1:{self.dicom_port}"

    def empty(self) -> None:
        """Remove everything it holds."""
        for patient in httpx.get(f"{self.url}/patients").json():
            httpx.delete(f"{self.url}/patients/{patient}")

    def instances(self) -> dict[str, bytes]:
        """The file of every instance it holds, by SOP Instance UID."""
        found = httpx.get(f"{self.url}/instances", params={"expand": ""}, timeout=60).json()
        return {
            each["MainDicomTags"]["SOPInstanceUID"]: httpx.get(
                f"{self.url}/instances/{each['ID']}/file", timeout=60
            ).content
            for each in found
        }


@contextmanager
def running_orthanc(folder: Path, **settings: Any) -> Iterator[Orthanc]:
    """Start an Orthanc whose data lie in `folder`; it ends with the block."""
    http_port, dicom_port = free_port(), free_port()
    configuration = {
        "Name": "Test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomCheckCalledAet": False,
        "Plugins": [str(_PLUGINS / "libOrthancDicomWeb.so")],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        "OverwriteInstances": False,
        **settings,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(file)], stdout=log, stderr=log)
    try:
        _wait(http_port, process, folder / "orthanc.log")
        yield Orthanc(http_port, dicom_port, process)
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/system", timeout=1).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError(f"Orthanc did not start:\n{log.read_text(errors='replace')[-2000:]}")
