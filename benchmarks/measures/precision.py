"""The quantised graph beside the full one."""

from pathlib import Path

from benchmarks.bench import CONCURRENCY, Bench, open_session
from benchmarks.figures import Figure, Section, scaled
from benchmarks.rounds import Contender, Spread, ratio, seconds_each, take_turns

_METHOD = (
    "ONNX Runtime alone on prepared tensors, one image on one thread and a batch on all cores. "
    "What the quantised graph loses in accuracy is in the package's evaluation; whether it is "
    "quicker depends on the processor's instructions for 8-bit products.",
)


def measure(bench: Bench) -> Section:
    """Measure how many times faster INT8 is than FP32."""
    title = "INT8 beside FP32"
    if bench.package.onnx_int8_path is None:
        missing = "This package has no INT8 graph: nothing was measured."
        return Section("precision", title, (*_METHOD, missing), ())
    graphs = {"FP32": bench.package.onnx_path, "INT8": bench.package.onnx_int8_path}
    samples = take_turns(
        {
            f"{name}, batch {batch}": _run(bench, graph, batch, threads)
            for batch, threads in ((1, 1), (CONCURRENCY, bench.cores))
            for name, graph in graphs.items()
        },
        bench.effort.rounds,
    )
    ratios = tuple(
        Figure(
            f"batch of {batch}: FP32 / INT8",
            ratio(samples, f"FP32, batch {batch}", f"INT8, batch {batch}"),
            "x",
        )
        for batch in (1, CONCURRENCY)
    )
    absolutes = tuple(
        Figure(name, scaled(Spread.of(seconds), 1e3), "ms") for name, seconds in samples.items()
    )
    return Section("precision", title, _METHOD, ratios, absolutes)


def _run(bench: Bench, graph: Path, batch: int, threads: int) -> Contender:
    session = open_session(graph, threads)
    tensor = bench.prepared(bench.bodies.jpeg, batch)
    return seconds_each(lambda: session.run(None, {"image": tensor}), bench.effort.repeats)
