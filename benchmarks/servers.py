"""Starting, suspending and stopping the services that are measured."""

import http.client
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from models.package import ModelPackage

_START_WITHIN_S = 120.0
_POLL_EVERY_S = 0.01
_STOP_WITHIN_S = 10.0


class StartError(Exception):
    """A service that is to be measured did not start."""


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A service that can be started."""

    name: str
    command: tuple[str, ...]
    """Without the port, which is added as `--port N`."""
    ready_path: str
    """Answers 200 from when the service can answer."""
    recognize_path: str
    content_type: str | None = None
    """Sent with every body; `None` for the type that the body has."""
    asks_for_key: bool = False


def zhuzhen_spec() -> ServerSpec:
    """Return the service itself, started as a user starts it."""
    script = Path(sys.executable).with_name("zhuzhen")
    return ServerSpec(
        "zhuzhen", (str(script), "serve"), "/readyz", "/v1/recognize", asks_for_key=True
    )


def peer_specs(package: ModelPackage, cores: int) -> tuple[ServerSpec, ...]:
    """Return the peers, each running the network of `package`."""
    told = (
        *("--model", package.reference_to.name),
        *("--onnx", str(package.onnx_path)),
        *("--side-px", str(package.input_spec.side_px)),
    )
    programs = (
        ("FastAPI + ONNX Runtime", "fastapi_server", ()),
        (f"FastAPI + ONNX Runtime, {cores} workers", "fastapi_server", ("--workers", str(cores))),
        ("LitServe + ONNX Runtime", "litserve_server", ()),
        ("FastAPI + MONAI + PyTorch eager", "monai_server", ()),
    )
    return tuple(
        ServerSpec(
            name,
            (sys.executable, "-m", f"benchmarks.peers.{module}", *told, *extra),
            "/health",
            "/recognize",
            "application/octet-stream",
        )
        for name, module, extra in programs
    )


class Server:
    """A running service; a context manager that leaves no process behind."""

    def __init__(self, spec: ServerSpec) -> None:
        self.spec = spec
        self.port = _free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed when the server has stopped)
        started = time.perf_counter()
        self._process = psutil.Popen(
            [*spec.command, "--port", str(self.port)], stdout=self._log, stderr=subprocess.STDOUT
        )
        try:
            self._wait_until_ready(started)
        except BaseException:
            self.stop()
            raise
        self.ready_after_s = time.perf_counter() - started

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def resident_mib(self) -> float:
        """Return the memory of all its processes; what they share is counted once."""
        used = [process.memory_full_info() for process in self._processes()]
        return sum(float(getattr(each, "pss", each.rss)) for each in used) / 2**20

    def suspend(self) -> None:
        """Keep it from using the processor until `resume`."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        """Let it go on."""
        for process in self._processes():
            process.resume()

    def stop(self) -> None:
        """End all its processes."""
        processes = self._processes()
        for process in processes:
            process.resume()
        if processes:
            processes[0].terminate()
        _, alive = psutil.wait_procs(processes, _STOP_WITHIN_S)
        for process in alive:
            process.kill()
        self._log.close()

    def _processes(self) -> list[psutil.Process]:
        if not self._process.is_running():
            return []
        return [self._process, *self._process.children(recursive=True)]

    def _wait_until_ready(self, started: float) -> None:
        while not _answers(self.port, self.spec.ready_path):
            ended = self._process.poll() is not None
            if ended or time.perf_counter() - started > _START_WITHIN_S:
                self._log.seek(0)
                told = self._log.read().decode(errors="replace")[-2000:]
                raise StartError(f"{self.spec.name} did not start; it said:\n{told}")
            time.sleep(_POLL_EVERY_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def only(server: Server) -> Iterator[Server]:
    """Let `server`, suspended otherwise, run for a while."""
    server.resume()
    try:
        yield server
    finally:
        server.suspend()
