"""From DICOM bytes to the answer, beside ONNX Runtime alone."""

import functools

from benchmarks.bench import Bench, open_session
from benchmarks.figures import Bound, Figure, Section, Target, scaled
from benchmarks.rounds import Contender, Samples, Spread, ratio, seconds_each, take_turns
from benchmarks.servers import Server, zhuzhen_spec
from serving.answers import answer_of, write_json
from serving.recognition import Recognizer

_ALONE = "ONNX Runtime alone on the prepared tensor, one thread"
_MOST_TIMES_ALONE = 2.0

_METHOD = (
    "One client posts the same DICOM file again and again over one connection; the time is from "
    "the first byte sent to the last byte of the answer received. Beside it, ONNX Runtime alone "
    "runs the package's FP32 graph on the tensor prepared from that file, with the thread setting "
    "that the service has: one thread for each image.",
    "The radiograph is an example of a child, enlarged to the 1955 x 1841 pixels and 15 bits of "
    "RG1 in pydicom-data, with noise until JPEG 2000 needs as many bytes for it as for RG1. RG1 "
    "itself is of an adult and would be refused before the network runs. The answer holds the "
    "finding with its regions.",
)


def measure(bench: Bench) -> Section:
    """Measure what everything around the network costs."""
    with Server(zhuzhen_spec()) as server:
        bench.warm(server, bench.bodies.uncompressed, bench.bodies.jpeg2000)
        samples = take_turns(_contenders(bench, server), bench.effort.rounds)
    return Section("overhead", "DICOM bytes to answer, one client", _METHOD, *_figures(samples))


def _contenders(bench: Bench, server: Server) -> dict[str, Contender]:
    session = open_session(bench.package.onnx_path, threads=1)
    tensor = bench.prepared(bench.bodies.uncompressed)
    recognizer = Recognizer(bench.package)

    def answer(data: bytes) -> str:
        pre_read = recognizer.read(data).pre_read
        return write_json(answer_of(pre_read, source="body", intended_use=bench.package.statement))

    repeats = bench.effort.repeats
    contenders = {_ALONE: seconds_each(lambda: session.run(None, {"image": tensor}), repeats)}
    for body in (bench.bodies.uncompressed, bench.bodies.jpeg2000):
        contenders[f"{body.name}, over HTTP"] = bench.latency(server, body)
        in_process = functools.partial(answer, body.data)
        contenders[f"{body.name}, in process"] = seconds_each(in_process, repeats)
    return contenders


def _figures(samples: Samples) -> tuple[tuple[Figure, ...], tuple[Figure, ...]]:
    targets = {"uncompressed DICOM, over HTTP": Target(Bound.AT_MOST, _MOST_TIMES_ALONE)}
    ratios = tuple(
        Figure(f"{name} / ONNX Runtime alone", ratio(samples, name, _ALONE), "x", targets.get(name))
        for name in samples
        if name != _ALONE
    )
    absolutes = tuple(
        Figure(name, scaled(Spread.of(seconds), 1e3), "ms") for name, seconds in samples.items()
    )
    return ratios, absolutes
