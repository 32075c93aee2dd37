"""What decides, before any finding is shown, whether a model may be used on an input.

The order is fixed: bytes that give no pixels are unreadable, whatever their header says; then the
rules of the intended use, every broken one of which is told; then the pixels themselves, nearly
uniform or unlike anything the model was made for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.chest_template import Way
from models.errors import InputTooLargeError, UnusableImageError
from models.findings import ImageQuality, Reason, Text, Verdict
from models.intended_use import Allowed, Rule, check
from models.preprocessing import ImageKind, InputSpec
from models.radiograph import RadiographFacts
from serving.image_quality import blank, colourless
from serving.presentation import wrongly_presented

_NOT_RAW = Allowed("presentation_intent", ("FOR PRESENTATION",))
"""Holds for every model, and where it is stated alone: what a detector measured, before it is
processed for people, looks unlike what any model has learned from."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    """What speaks against the input, then what could not be checked."""


def refuse_unreadable(error: UnusableImageError) -> Judgement:
    """Return the judgement on bytes that could not be read."""
    too_large = isinstance(error, InputTooLargeError)
    rule = "input_size" if too_large else "file_format"
    return Judgement(Verdict.UNREADABLE, (Reason(rule, None, None, error.text),))


def judge_use(rules: tuple[Rule, ...], facts: RadiographFacts) -> Judgement:
    """Return the judgement by an input's facts alone.

    Facts that the input does not state break no rule; they are among the reasons, so that a
    reader knows what the judgement rests on.
    """
    checked = check(rules, facts)
    broken = checked.broken + check((_NOT_RAW,), facts).broken
    verdict = Verdict.OUTSIDE_INTENDED_USE if broken else Verdict.ACCEPTED
    return Judgement(verdict, broken + checked.marginal + checked.unchecked)


def with_scale(judgement: Judgement, spec: InputSpec) -> Judgement:
    """Add that the scale of a tile was not checked: PNG and JPEG do not state it reliably."""
    if spec.um_per_px is None:
        return judgement
    scale = f"{spec.um_per_px:g}"
    message = Text(
        "the scale of the tile is not stated, so it was not checked; this model is for about "
        f"{scale} micrometres a pixel",
        f"图块未注明比例尺，未能核对；本模型适用于每像素约 {scale} 微米",
    )
    unchecked = Reason("um_per_px", None, f"about {scale} micrometres a pixel", message)
    return Judgement(judgement.verdict, (*judgement.reasons, unchecked))


def of_the_chest_alone(rules: tuple[Rule, ...], spec: InputSpec) -> bool:
    """Whether a model is for chest radiographs and nothing else, by its intended use."""
    chest = Allowed("body_part", ("CHEST",))
    return spec.kind == ImageKind.RADIOGRAPH and chest in rules


def judge_pixels(
    by_use: Judgement,
    quality: ImageQuality,
    ood_score: float,
    colours: NDArray[np.uint8] | None = None,
    way: Way | None = None,
) -> Judgement:
    """Return the judgement on an input whose facts were `accepted`, now that it was looked at.

    `ood_score` is the distance from what the model was made for, 1.0 at the refusal threshold;
    `colours` are the pixels of a tile, shape (rows, columns, 3); `way` is how a chest radiograph is
    presented.
    """
    nothing = blank(quality)
    stain = None if colours is None else colourless(colours)
    # Nothing lies on its head where nothing is to be seen.
    presented = () if way is None or nothing else wrongly_presented(way)
    reasons = (nothing, stain, *presented, _too_far(ood_score))
    against = tuple(reason for reason in reasons if reason)
    verdict = Verdict.OUT_OF_DISTRIBUTION if against else by_use.verdict
    return Judgement(verdict, against + by_use.reasons)


def _too_far(ood_score: float) -> Reason | None:
    # Not `> 1` the other way round: a score that is not a number must be refused too.
    if ood_score <= 1.0:
        return None
    found = f"{ood_score:.2f}"
    message = Text(
        f"the image does not look like those the model was made for: it differs from them {found} "
        "times as much as is allowed; check body part, view and image quality",
        f"图像与本模型适用的图像差异过大：差异为允许上限的 {found} 倍；请检查部位、体位与图像质量",
    )
    return Reason("embedding_distance", found, "at most 1", message)
