"""The held-out people of a recalibration, as the registry keeps them, and the gate over them.

Kept are published predictor, outcome and weight of each: no name, key or input. Any version of the
same score can be held against them, since a version is an intercept and a slope.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.package import EVALUATION
from models.risk.recalibration import Recalibration, read_recalibration
from models.risk.registry import SCORES
from training.recalibration.cohort import Cohort
from training.recalibration.fitting import log_score
from training.release_gate import Verdict, card_verdict

HELD_OUT = "held-out"
FILE = "held-out.parquet"
Floats = NDArray[np.float64]
_RATIO = 0.15
"""Accepted distance of observed to expected from 1, unless its interval holds 1."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Of each person, shape (people,)."""

    predictor: Floats
    happened: NDArray[np.bool_]
    weights: Floats


def write_held_out(cohort: Cohort, held_out: NDArray[np.intp], folder: Path) -> None:
    """Write the held-out people of `cohort` into `folder`."""
    happened, weights = cohort.seen(held_out)
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"predictor": cohort.predictor[held_out], "happened": happened, "weight": weights}
    pq.write_table(pa.table(columns), folder / FILE)


def read_held_out(folder: Path) -> HeldOut:
    """Read what `write_held_out` wrote."""
    table = pq.read_table(folder / FILE)
    columns = [table.column(name).to_numpy() for name in ("predictor", "happened", "weight")]
    return HeldOut(*columns)


def judge_recalibration(
    root: Path, held_out: HeldOut, champion: Recalibration | None
) -> list[Verdict]:
    """Return what the gate says of the version in `root`, against what answers now."""
    made = read_recalibration(root, SCORES)
    return [
        _better("better than the published score", made, held_out, 0.0, 1.0),
        _against(champion, made, held_out),
        _calibrated(root),
        card_verdict(root, made.told),
    ]


def _against(champion: Recalibration | None, made: Recalibration, held_out: HeldOut) -> Verdict:
    test = "no worse than the champion"
    if champion is None:
        return Verdict(test, True, "there is no champion yet")
    return _better(test, made, held_out, champion.intercept, champion.slope)


def _better(
    test: str, made: Recalibration, held: HeldOut, intercept: float, slope: float
) -> Verdict:
    scale = made.of.scale
    before, after = (
        log_score(scale, a + b * held.predictor, held.happened, held.weights)
        for a, b in ((intercept, slope), (made.intercept, made.slope))
    )
    told = (
        f"mean log-likelihood of {len(held.predictor)} held-out people {before:.6f} to {after:.6f}"
    )
    return Verdict(test, after >= before, told)


def _calibrated(root: Path) -> Verdict:
    after = json.loads((root / EVALUATION).read_text(encoding="utf-8"))["held_out"]["after"]
    ratio = after["observed_to_expected"]
    passed = ratio["low"] <= 1 <= ratio["high"] or abs(ratio["value"] - 1) <= _RATIO
    told = f"observed to expected {ratio['value']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"
    return Verdict("calibration", passed, told)
