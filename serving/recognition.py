"""From the bytes of one radiograph or stained tile to a pre-read."""

import time
from dataclasses import dataclass, replace

import numpy as np

from models.chest_template import chest_template
from models.errors import UnusableImageError
from models.evidence import Heat, heat_of, regions_of
from models.findings import Decision, Finding, ImageQuality, PreRead, Region, Verdict
from models.observation import COMPONENTS
from models.package import Label, ModelPackage
from models.preprocessing import ImageKind, as_input, resize
from models.radiograph import Radiograph
from models.tile import Tile
from serving import tracing
from serving.gate import (
    Judgement,
    judge_pixels,
    judge_use,
    of_the_chest_alone,
    refuse_unreadable,
    with_scale,
)
from serving.image_quality import measure_quality
from serving.imaging import DEFAULT_LIMITS, ImageLimits, read_radiograph, read_tile
from serving.inference import Network, NetworkOutput
from serving.precision import Precision
from serving.tracing import Stage


@dataclass(frozen=True, slots=True)
class Reading:
    """A pre-read together with what a picture of it is drawn from."""

    pre_read: PreRead
    radiograph: Radiograph | Tile | None
    """The image that was read; None where the bytes were unreadable."""
    heats: dict[str, Heat]
    """By label, for the findings that have regions."""
    position: tuple[float, ...] = ()
    """Of the embedding; see `models.observation`. Empty where the network was not asked."""


_SPANS = {
    "decode": Stage.DECODE,
    "prepare": Stage.PREPARE,
    "network": Stage.INFERENCE,
    "evidence": Stage.EVIDENCE,
}


class Stopwatch:
    """Milliseconds spent in each stage, in the order of the stages."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._stages_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Book the time since the last call on `stage`."""
        now = time.perf_counter()
        self._stages_ms[stage] = (now - self._last) * 1e3
        tracing.passed(_SPANS[stage], now - self._last)
        self._last = now

    def timings_ms(self) -> dict[str, float]:
        """Return what was booked, and the total."""
        return {**self._stages_ms, "total": (time.perf_counter() - self._started) * 1e3}


class Recognizer:
    """One model package, ready to read its kind of image, from several threads at once.

    Raises:
        OtherKindError: the package is for people, not for images.
        PackageInvalidError: its graph cannot be run.
    """

    def __init__(
        self,
        package: ModelPackage,
        *,
        precision: Precision = Precision.FP32,
        limits: ImageLimits = DEFAULT_LIMITS,
    ) -> None:
        self._spec = package.input_spec
        self.package = package
        self._network = Network(package, precision)
        self._limits = limits
        chest = of_the_chest_alone(package.rules, self._spec)
        self._template = chest_template() if chest else None

    def read(self, data: bytes, *, full_resolution: bool = False) -> Reading:
        """Read the image in `data`; whatever the bytes are, the answer is a pre-read.

        `full_resolution` decodes every pixel, which the network does not need: for comparisons.
        """
        watch = Stopwatch()
        try:
            radiograph = self._decoded(data, full_resolution)
        except UnusableImageError as error:
            watch.lap("decode")
            return self._close(watch, None, refuse_unreadable(error))
        watch.lap("decode")
        with tracing.span(Stage.GATE):
            by_use = with_scale(judge_use(self.package.rules, radiograph.facts), self._spec)
        if by_use.verdict is not Verdict.ACCEPTED:
            return self._close(watch, radiograph, by_use)
        return self._look(watch, radiograph, by_use)

    def _decoded(self, data: bytes, full_resolution: bool) -> Radiograph | Tile:
        if self._spec.kind == ImageKind.TILE:
            return read_tile(data, limits=self._limits)
        return read_radiograph(
            data,
            limits=self._limits,
            target_side_px=self._spec.side_px,
            full_resolution=full_resolution,
        )

    def _look(self, watch: Stopwatch, radiograph: Radiograph | Tile, by_use: Judgement) -> Reading:
        """Judge by the pixels and, where these are accepted too, say what they show."""
        grid = resize(radiograph.pixels, self._spec.side_px)
        quality = measure_quality(radiograph, grid)
        image = as_input(grid, self._spec)
        watch.lap("prepare")
        output = self._network.run(image)
        watch.lap("network")
        embedding = output.embedding[np.newaxis]
        score = float(self.package.reference.score(embedding)[0])
        position = tuple(self.package.reference.position(embedding, COMPONENTS)[0].tolist())
        colours = radiograph.pixels if isinstance(radiograph, Tile) else None
        with tracing.span(Stage.GATE):
            way = self._template.presented(grid) if self._template else None
            judgement = judge_pixels(by_use, quality, score, colours, way)
        if judgement.verdict is not Verdict.ACCEPTED:
            refused = self._close(watch, radiograph, judgement, quality=quality, ood_score=score)
            return replace(refused, position=position)
        findings, heats = self._conclude(output, radiograph)
        watch.lap("evidence")
        reading = self._close(
            watch,
            radiograph,
            judgement,
            quality=quality,
            ood_score=score,
            findings=findings,
            heats=heats,
        )
        return replace(reading, position=position)

    def _conclude(
        self, output: NetworkOutput, radiograph: Radiograph | Tile
    ) -> tuple[tuple[Finding, ...], dict[str, Heat]]:
        findings, heats = [], {}
        probabilities = self.package.calibration.probabilities(output.logits[np.newaxis])[0]
        for index, label in enumerate(self.package.labels):
            probability = float(probabilities[index])
            decision = label.calibration.decide(probability)
            regions: tuple[Region, ...] = ()
            # Evidence for a finding that is absent would be evidence for nothing.
            if decision is not Decision.ABSENT:
                heat = heats[label.label] = heat_of(output.activation_maps[index])
                regions = regions_of(heat, rows=radiograph.rows, columns=radiograph.columns)
            findings.append(_finding(label, probability, decision, regions))
        return tuple(findings), heats

    def _close(
        self,
        watch: Stopwatch,
        radiograph: Radiograph | Tile | None,
        judgement: Judgement,
        *,
        quality: ImageQuality | None = None,
        ood_score: float | None = None,
        findings: tuple[Finding, ...] = (),
        heats: dict[str, Heat] | None = None,
    ) -> Reading:
        pre_read = PreRead(
            model=self.package.reference_to,
            verdict=judgement.verdict,
            reasons=judgement.reasons,
            findings=findings,
            facts=radiograph.facts if radiograph else None,
            quality=quality,
            ood_score=ood_score,
            timings_ms=watch.timings_ms(),
        )
        return Reading(pre_read, radiograph, heats or {})


def _finding(
    label: Label, probability: float, decision: Decision, regions: tuple[Region, ...]
) -> Finding:
    calibration = label.calibration
    return Finding(
        label=label.label,
        name=label.name,
        codes=label.codes,
        probability=probability,
        operating_point=calibration.operating_point,
        decision=decision,
        conformal_set=calibration.conformal_set(probability),
        conformal_coverage=calibration.conformal_coverage,
        regions=regions,
    )
