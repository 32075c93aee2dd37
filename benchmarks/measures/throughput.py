"""Images a second at the endpoint, beside a bare batched ONNX Runtime loop."""

import threading
import time
from collections.abc import Callable

from benchmarks.bench import CONCURRENCY, Bench, open_session
from benchmarks.figures import Bound, Figure, Section, Target
from benchmarks.rounds import Contender, Spread, ratio, take_turns
from benchmarks.servers import Server, zhuzhen_spec

_BATCHED = f"bare loop, batches of {CONCURRENCY} on all cores"
_LEAST_SHARE = Target(Bound.AT_LEAST, 0.85)

_METHOD = (
    f"{CONCURRENCY} clients post at the same time, each its next image when it has the answer to "
    "the last; the client process runs on the same cores as the service. The bare loop runs the "
    f"package's FP32 graph on batches of {CONCURRENCY} prepared tensors of the same image with "
    "ONNX Runtime's threads on all cores: no decoding, no preparation, no HTTP.",
    "The target is for a body of the network's size, where the service does little beside the "
    "network. A full-size radiograph must be received and decoded as well, which the bare loop "
    "never does. The second bare loop is the quickest way to run the network here: one thread for "
    "each core, each with images of its own, as the service does.",
)


def measure(bench: Bench) -> Section:
    """Measure what is left of the network's throughput at the endpoint."""
    bodies = (bench.bodies.jpeg, bench.bodies.example, bench.bodies.uncompressed)
    with Server(zhuzhen_spec()) as server:
        bench.warm(server, *bodies)
        contenders: dict[str, Contender] = {
            f"endpoint, {body.name}": bench.throughput(server, body) for body in bodies
        }
        bare = {
            _BATCHED: _bare_loop(bench, batch=CONCURRENCY, callers=1, threads=bench.cores),
            "bare loop, an image at a time on each core": _bare_loop(
                bench, batch=1, callers=bench.cores, threads=1
            ),
        }
        samples = take_turns(contenders | bare, max(2, bench.effort.rounds // 2))
    targets = {f"endpoint, {bench.bodies.jpeg.name}": _LEAST_SHARE}
    ratios = tuple(
        Figure(
            f"{name} / {loop}",
            ratio(samples, name, loop),
            "x",
            targets.get(name) if loop == _BATCHED else None,
        )
        for name in contenders
        for loop in bare
    )
    absolutes = tuple(Figure(name, Spread.of(rates), "images/s") for name, rates in samples.items())
    title = f"Throughput at concurrency {CONCURRENCY}"
    return Section("throughput", title, _METHOD, ratios, absolutes)


def _bare_loop(bench: Bench, *, batch: int, callers: int, threads: int) -> Contender:
    """Return a contender: `callers` at once run batches; images a second."""
    session = open_session(bench.package.onnx_path, threads)
    tensor = bench.prepared(bench.bodies.jpeg, batch)
    return _rate_of(
        lambda: session.run(None, {"image": tensor}), batch, callers, bench.effort.seconds
    )


def _rate_of(work: Callable[[], object], images: int, callers: int, seconds: float) -> Contender:
    def turn() -> float:
        done = [0] * callers

        def repeat(caller: int) -> None:
            while time.perf_counter() - started < seconds or not done[caller]:
                work()
                done[caller] += images

        work()
        started = time.perf_counter()
        threads = [threading.Thread(target=repeat, args=(caller,)) for caller in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - started)

    return turn
