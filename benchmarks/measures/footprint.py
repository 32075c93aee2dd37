"""Time to ready and memory."""

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Section
from benchmarks.rounds import Spread, ratio
from benchmarks.servers import Server, ServerSpec, peer_specs, zhuzhen_spec

_METHOD = (
    "Each is started anew as a user starts it; ready is when its health route first answers 200, "
    "which for the service means that the package is verified and the network has run once. Memory "
    "is the proportional set size of all its processes (what they share is counted once), when "
    "ready and after radiographs of 1955 x 1841 pixels from 16 clients.",
)
_READY, _AT_REST, _AFTER = "ready after", "memory when ready", "memory after load"


def measure(bench: Bench) -> Section:
    """Measure what running the service takes."""
    ours, peers = zhuzhen_spec(), peer_specs(bench.package, bench.cores)
    count = min(3, bench.effort.slow_rounds)
    found = {spec.name: [_start(bench, spec) for _ in range(count)] for spec in (ours, *peers)}
    samples = {
        f"{name}: {what}": [each[what] for each in starts]
        for name, starts in found.items()
        for what in (_READY, _AT_REST, _AFTER)
    }
    ratios = tuple(
        Figure(
            f"{what}: {peer.name} / zhuzhen",
            ratio(samples, f"{peer.name}: {what}", f"{ours.name}: {what}"),
            "x",
        )
        for what in (_READY, _AFTER)
        for peer in peers
    )
    absolutes = tuple(
        Figure(name, Spread.of(values), "s" if name.endswith(_READY) else "MiB")
        for name, values in samples.items()
    )
    return Section("footprint", "Time to ready and memory", _METHOD, ratios, absolutes)


def _start(bench: Bench, spec: ServerSpec) -> dict[str, float]:
    with Server(spec) as server:
        at_rest = server.resident_mib()
        bench.throughput(server, bench.bodies.uncompressed)()
        return {_READY: server.ready_after_s, _AT_REST: at_rest, _AFTER: server.resident_mib()}
