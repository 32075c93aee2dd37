"""What every measure works with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.client import LoadClient
from benchmarks.inputs import Bodies, Body
from benchmarks.load import Order
from benchmarks.rounds import Contender
from benchmarks.servers import Server
from models.package import ModelPackage
from models.preprocessing import prepare
from serving.imaging import read_radiograph

CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    repeats: int
    """Requests or runs of one turn, where single ones are timed."""
    seconds: float
    """Length of one turn, where throughput is counted."""
    slow_rounds: int
    """Rounds of what takes seconds each."""
    images: int
    """Most images of the dataset on which answers are compared."""


THOROUGH = Effort(rounds=15, repeats=7, seconds=2.0, slow_rounds=5, images=28)
QUICK = Effort(rounds=2, repeats=2, seconds=0.3, slow_rounds=1, images=2)


@dataclass(frozen=True, slots=True)
class Bench:
    """The subject of the measurements and the tools for them."""

    package: ModelPackage
    bodies: Bodies
    client: LoadClient
    effort: Effort
    key: str
    """Credential for the service; peers ask for none."""
    cores: int
    data: Path | None
    """Folder of the datasets, where there is one."""

    def latency(self, server: Server, body: Body, repeats: int | None = None) -> Contender:
        """Return a contender: one client posts `body`; seconds to the answer."""
        order = self._order(server, body, clients=1, requests=repeats or self.effort.repeats)
        return lambda: self.client.median_latency_s(order)

    def throughput(self, server: Server, body: Body) -> Contender:
        """Return a contender: `CONCURRENCY` clients post `body`; images answered a second."""
        order = self._order(server, body, clients=CONCURRENCY, seconds=self.effort.seconds)
        return lambda: self.client.images_per_s(order)

    def warm(self, server: Server, *bodies: Body) -> None:
        """Post each body some times without measuring: the first requests allocate and import."""
        for body in bodies:
            self.client.carry_out(self._order(server, body, clients=self.cores, requests=2))

    def prepared(self, body: Body, batch: int = 1) -> NDArray[np.float32]:
        """Return the network's input for `body`, shape (batch, 1, side_px, side_px)."""
        spec = self.package.input_spec
        radiograph = read_radiograph(body.data, target_side_px=spec.side_px)
        return np.repeat(prepare(radiograph.pixels, spec)[np.newaxis], batch, axis=0)

    def _order(
        self,
        server: Server,
        body: Body,
        *,
        clients: int,
        requests: int | None = None,
        seconds: float = 0.0,
    ) -> Order:
        # Peers are told nothing of the body's type: they know one only.
        content_type = server.spec.content_type or body.content_type
        return Order(
            port=server.port,
            path=server.spec.recognize_path,
            body_file=str(body.file),
            content_type=content_type,
            clients=clients,
            requests=requests,
            seconds=seconds,
            key=self.key if server.spec.asks_for_key else None,
        )


def open_session(graph: Path, threads: int) -> ort.InferenceSession:
    """Return a bare ONNX Runtime session that computes on `threads` threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
