"""The service beside what a user would write instead."""

from contextlib import ExitStack

from benchmarks.bench import CONCURRENCY, Bench
from benchmarks.figures import Bound, Figure, Section, Target, scaled
from benchmarks.inputs import Body
from benchmarks.rounds import Contender, Samples, Spread, ratio, take_turns
from benchmarks.servers import Server, only, peer_specs, zhuzhen_spec

_FASTER = Target(Bound.MORE_THAN, 1.0)
_REQUESTS = 3
"""Of one turn of one client: a peer may take a second for each."""

_METHOD = (
    "The peers are in `benchmarks/peers/`: straightforward programs as their own documentation "
    "shows them, with pydicom and scikit-image (or MONAI's transforms) before the network. They "
    "answer with a probability alone, without gate, evidence, calibration or out-of-distribution "
    "check, and so do less. All receive the same DICOM bytes as a raw body from the same client "
    "process, and run the network on an input of the same size; those with ONNX Runtime run the "
    "same FP32 graph. PyTorch runs the same architecture with the weights that its training starts "
    "from.",
    "All are started before the first turn and suspended whenever it is not their turn. One worker "
    "process each, as by default, unless the name says otherwise.",
)


def measure(bench: Bench) -> Section:
    """Measure how many times faster than each peer the service is."""
    bodies = (bench.bodies.uncompressed, bench.bodies.jpeg2000)
    ours, peers = zhuzhen_spec(), peer_specs(bench.package, bench.cores)
    with ExitStack() as stack:
        servers = []
        for spec in (ours, *peers):
            server = stack.enter_context(Server(spec))
            bench.warm(server, *bodies)
            server.suspend()
            servers.append(server)
        ratios: list[Figure] = []
        absolutes: list[Figure] = []
        for body in bodies:
            samples = take_turns(
                {s.spec.name: _alone(s, bench.latency(s, body, _REQUESTS)) for s in servers},
                bench.effort.slow_rounds,
            )
            ratios += _times_quicker(samples, ours.name, body)
            absolutes += _absolutes(samples, body, "one client", 1e3, "ms")
            samples = take_turns(
                {s.spec.name: _alone(s, bench.throughput(s, body)) for s in servers},
                min(3, bench.effort.slow_rounds),
            )
            ratios += _times_more(samples, ours.name, body)
            absolutes += _absolutes(samples, body, f"{CONCURRENCY} clients", 1.0, "images/s")
    title = "Beside what a user would write instead"
    return Section("peers", title, _METHOD, tuple(ratios), tuple(absolutes))


def _alone(server: Server, contender: Contender) -> Contender:
    def turn() -> float:
        with only(server):
            return contender()

    return turn


def _times_quicker(samples: Samples, ours: str, body: Body) -> list[Figure]:
    return [
        Figure(
            f"{body.name}, one client: {peer} / zhuzhen", ratio(samples, peer, ours), "x", _FASTER
        )
        for peer in samples
        if peer != ours
    ]


def _times_more(samples: Samples, ours: str, body: Body) -> list[Figure]:
    return [
        Figure(
            f"{body.name}, {CONCURRENCY} clients: images of zhuzhen / {peer}",
            ratio(samples, ours, peer),
            "x",
            _FASTER,
        )
        for peer in samples
        if peer != ours
    ]


def _absolutes(
    samples: Samples, body: Body, clients: str, factor: float, unit: str
) -> list[Figure]:
    return [
        Figure(f"{body.name}, {clients}: {name}", scaled(Spread.of(values), factor), unit)
        for name, values in samples.items()
    ]
