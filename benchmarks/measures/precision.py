"""The quantised graph beside the full one."""

import json
import tempfile
from pathlib import Path

from benchmarks.bench import CONCURRENCY, Bench, open_session
from benchmarks.figures import Figure, Section, scaled
from benchmarks.rounds import Contender, Samples, Spread, ratio, seconds_each, take_turns
from models.package import EVALUATION
from training.config import load_config
from training.quantisation import quantise

_METHOD = (
    "ONNX Runtime alone on prepared tensors, one image on one thread and a batch on all cores. "
    "What the quantised graph loses in accuracy is in the package's evaluation; whether it is "
    "quicker depends on the processor's instructions for 8-bit products.",
)


def measure(bench: Bench) -> Section:
    """Measure how many times faster INT8 is than FP32."""
    title = "INT8 beside FP32"
    shipped = bench.package.onnx_int8_path
    if shipped is not None:
        return Section("precision", title, _METHOD, *_figures(_samples(bench, shipped)))
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.int8.onnx"
        config = load_config(bench.package.reference_to.name).quantisation
        quantise(bench.package.onnx_path, graph, bench.prepared(bench.bodies.jpeg), config)
        samples = _samples(bench, graph)
    return Section("precision", title, (*_METHOD, _why_none(bench)), *_figures(samples))


def _why_none(bench: Bench) -> str:
    evaluation = json.loads((bench.package.root / EVALUATION).read_text(encoding="utf-8"))
    reason = evaluation.get("int8", {}).get("reason", "the evaluation does not say why")
    return (
        f"The package ships no INT8 graph ({reason}). The figures are of its FP32 graph quantised "
        "for this measurement as training would do it, with ranges from one image: right for the "
        "speed, and for nothing else."
    )


def _samples(bench: Bench, int8: Path) -> Samples:
    graphs = {"FP32": bench.package.onnx_path, "INT8": int8}
    return take_turns(
        {
            f"{name}, batch of {batch}": _run(bench, graph, batch, threads)
            for batch, threads in ((1, 1), (CONCURRENCY, bench.cores))
            for name, graph in graphs.items()
        },
        bench.effort.rounds,
    )


def _run(bench: Bench, graph: Path, batch: int, threads: int) -> Contender:
    session = open_session(graph, threads)
    tensor = bench.prepared(bench.bodies.jpeg, batch)
    return seconds_each(lambda: session.run(None, {"image": tensor}), min(3, bench.effort.repeats))


def _figures(samples: Samples) -> tuple[tuple[Figure, ...], tuple[Figure, ...]]:
    ratios = tuple(
        Figure(
            f"batch of {batch}: FP32 / INT8",
            ratio(samples, f"FP32, batch of {batch}", f"INT8, batch of {batch}"),
            "x",
        )
        for batch in (1, CONCURRENCY)
    )
    absolutes = tuple(
        Figure(name, scaled(Spread.of(seconds), 1e3), "ms") for name, seconds in samples.items()
    )
    return ratios, absolutes
