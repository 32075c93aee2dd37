"""Building the DICOM objects of a pre-read beside making the pre-read."""

from datetime import UTC, datetime

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Section
from benchmarks.rounds import Spread, ratio, seconds_each, take_turns
from serving.recognition import Recognizer
from serving.results import ReadImage, build_results, read_source

_METHOD = (
    "In one process and on one thread, on a radiograph with a finding: reading it (decoding, gate, "
    "network, evidence) beside building its segmentation, presentation state, secondary capture "
    "and structured report, encoded and ready to be sent. The capture is a picture of 720 pixels' "
    "width with its words drawn on it.",
)
_READ = "reading"
_BUILD = "building the results"


def measure(bench: Bench) -> Section:
    """Measure what building results costs as a share of reading."""
    data = bench.bodies.example.data
    recognizer = Recognizer(bench.package)
    image = ReadImage(read_source(data), recognizer.read(data), bench.package.statement)
    created = datetime.now(UTC).astimezone()
    repeats = bench.effort.repeats
    samples = take_turns(
        {
            _READ: seconds_each(lambda: recognizer.read(data), repeats),
            _BUILD: seconds_each(lambda: build_results([image], created=created), repeats),
        },
        bench.effort.rounds,
    )
    return Section(
        "results",
        "Results as DICOM objects",
        _METHOD,
        (Figure(f"{_BUILD} / {_READ}", ratio(samples, _BUILD, _READ), "x"),),
        tuple(
            Figure(name, Spread.of([1e3 * seconds for seconds in samples[name]]), "ms")
            for name in (_READ, _BUILD)
        ),
    )
