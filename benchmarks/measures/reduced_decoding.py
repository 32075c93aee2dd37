"""JPEG 2000 decoded only as far as the network needs, beside decoding it whole."""

from collections.abc import Iterator

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from benchmarks.bench import Bench, open_session
from benchmarks.figures import Bound, Figure, Section, Target, scaled
from benchmarks.inputs import adult_radiograph, as_radiograph, enlarge, examples
from benchmarks.peers.straightforward import displayed
from benchmarks.rounds import Contender, Spread, ratio, seconds_each, take_turns
from models.preprocessing import prepare
from serving.imaging import read_radiograph
from serving.recognition import Recognizer

_LEAST_TIMES_FASTER = Target(Bound.AT_LEAST, 5.0)
_MOST_DIFFERENCE = Target(Bound.AT_MOST, 0.01)
_FULL_SIZE_IMAGES = "chest_xray_fullres"
"""Folder of the data set with radiographs of children at full size."""

_METHOD = (
    "The codestream holds five decompositions; the service decodes those that the network's input "
    "needs. The same bytes are read both ways by the same code, with and without its "
    "`full_resolution` setting, from the DICOM file to the pre-read with its finding. RG1, an "
    "adult, is decoded alone: its pre-read would be a refusal. pydicom with its usual decoders "
    "decodes whole images only.",
    "Agreement is the largest difference of the calibrated probability between reduced and full "
    "decoding. Each image is read as the file it is, and again as a 15-bit DICOM object of its own "
    "size, uncompressed and in JPEG 2000 lossless.",
)


def measure(bench: Bench) -> Section:
    """Measure what reduced decoding gains and what it changes."""
    samples = take_turns(_contenders(bench), bench.effort.slow_rounds)
    times = tuple(
        Figure(
            f"{what}: {above} decoding / reduced decoding",
            ratio(samples, f"{what}, {above}", f"{what}, reduced"),
            "x",
            _LEAST_TIMES_FASTER,
        )
        for what, above in (
            ("bytes to pre-read", "full"),
            ("RG1 decoded alone", "full"),
            ("RG1 decoded alone", "pydicom"),
        )
    )
    absolutes = tuple(
        Figure(name, scaled(Spread.of(seconds), 1e3), "ms") for name, seconds in samples.items()
    )
    title = "JPEG 2000 at the resolution that is needed"
    return Section("reduced-decoding", title, _METHOD, (*times, *_agreement(bench)), absolutes)


def _contenders(bench: Bench) -> dict[str, Contender]:
    recognizer = Recognizer(bench.package)
    child, adult = bench.bodies.jpeg2000.data, adult_radiograph(compressed=True)
    side_px = bench.package.input_spec.side_px

    def decode(*, full: bool) -> object:
        return read_radiograph(adult, target_side_px=side_px, full_resolution=full)

    return {
        "bytes to pre-read, reduced": seconds_each(lambda: recognizer.read(child), 3),
        "bytes to pre-read, full": seconds_each(
            lambda: recognizer.read(child, full_resolution=True), 1
        ),
        "RG1 decoded alone, reduced": seconds_each(lambda: decode(full=False), 3),
        "RG1 decoded alone, full": seconds_each(lambda: decode(full=True), 1),
        "RG1 decoded alone, pydicom": seconds_each(lambda: displayed(adult), 1),
    }


def _agreement(bench: Bench) -> tuple[Figure, ...]:
    on_examples = [path.read_bytes() for path in examples()]
    template = pydicom.dcmread(examples()[0])
    for path in examples():
        on_examples += _as_dicom(pydicom.dcmread(path).pixel_array, template)
    figures = _differences(bench, f"{len(examples())} examples", on_examples)
    full_size = _full_size_images(bench)
    if full_size:
        on_data = [data for data, _ in full_size]
        for _, grey in full_size:
            on_data += _as_dicom(grey, template)
        name = f"{len(full_size)} images of {_FULL_SIZE_IMAGES}"
        figures += _differences(bench, name, on_data)
    return figures


def _as_dicom(grey: NDArray[np.uint8], template: Dataset) -> Iterator[bytes]:
    stored = enlarge(grey, *grey.shape)
    for lossless in (False, True):
        yield as_radiograph(template, stored, lossless=lossless)


def _full_size_images(bench: Bench) -> list[tuple[bytes, NDArray[np.uint8]]]:
    """Return the full-size files with their grey levels; none where the data are absent."""
    if bench.data is None:
        return []
    files = sorted((bench.data / _FULL_SIZE_IMAGES).rglob("*.jp*g"))[: bench.effort.images]
    return [(file.read_bytes(), np.asarray(Image.open(file).convert("L"))) for file in files]


def _differences(bench: Bench, name: str, files: list[bytes]) -> tuple[Figure, ...]:
    session = open_session(bench.package.onnx_path, threads=bench.cores)
    spec, calibration = bench.package.input_spec, bench.package.labels[0].calibration

    def probability(data: bytes, *, full: bool) -> float:
        radiograph = read_radiograph(data, target_side_px=spec.side_px, full_resolution=full)
        tensor = prepare(radiograph.pixels, spec)[np.newaxis]
        (logits,) = session.run(["logits"], {"image": tensor})
        return calibration.probability(float(logits[0, 0]))

    pairs = [(probability(data, full=True), probability(data, full=False)) for data in files]
    largest = max(abs(full - reduced) for full, reduced in pairs)
    changed = sum(
        calibration.decide(full) is not calibration.decide(reduced) for full, reduced in pairs
    )
    of_what = f"{name}, {len(files)} files"
    return (
        _count(f"largest difference of a probability, {of_what}", largest, _MOST_DIFFERENCE),
        _count(f"decisions that differ, {of_what}", changed, None),
    )


def _count(what: str, value: float, target: Target | None) -> Figure:
    return Figure(what, Spread(value, value, value), "", target)
