"""Calibration before and after, as a picture: what came against what was said."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.recalibration.cohort import Cohort
from training.recalibration.fitting import probability
from training.recalibration.measuring import Fitted

Floats = NDArray[np.float64]
_TENTHS = 10
_REPEATS = 200
_EDGE = 1.15


def draw_calibration(
    cohort: Cohort, held_out: NDArray[np.intp], found: Fitted, path: Path, seed: int
) -> Path:
    """Draw both risks of the held-out people, in tenths, against how many had the event."""
    predictor = cohort.predictor[held_out]
    score = cohort.score
    both = {f"published {score.id}": predictor, "recalibrated": found.applied(predictor)}
    points = {name: _tenths(cohort, held_out, each, seed) for name, each in both.items()}
    top = _EDGE * max(float(part[:2].max()) for part in points.values())
    figure = Figure(figsize=(9.0, 5.2), dpi=110, layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(5, 1))
    for column, (name, each) in enumerate(both.items()):
        expected, observed, low, high = points[name]
        plot, below = axes[0, column], axes[1, column]
        plot.plot([0, top], [0, top], ":", color="0.6", label="right on average")
        spread = np.stack([observed - low, high - observed])
        plot.errorbar(expected, observed, spread, fmt="o", color="#2a6f97", label="tenths, 95 %")
        plot.set(xlim=(0, top), ylim=(0, max(top, float(high.max()) * 1.02)), title=name)
        plot.grid(visible=True, color="0.92")
        percent = 100 * probability(score.scale, each)
        below.hist(percent, bins=np.linspace(0, top, 50), color="0.7")
        below.set(xlabel=f"risk within {cohort.horizon_years:g} years (%)", yticks=[])
    axes[0, 0].set_ylabel("had the event (%)")
    axes[1, 0].set_ylabel("people")
    axes[0, 0].legend(loc="upper left", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the date and version of the drawing library the same figures give the same file.
    figure.savefig(path, metadata={"Software": None})
    return path


def _tenths(cohort: Cohort, held_out: NDArray[np.intp], predictor: Floats, seed: int) -> Floats:
    """Return mean risk, share with the event and its 95 % limits (percent) by tenths of the risk.

    Shape (4, tenths); the limits are percentiles of resampled people.
    """
    happened, weights = cohort.seen(held_out)
    risk = 100 * probability(cohort.score.scale, predictor)
    tenth = np.argsort(np.argsort(risk, kind="stable")) * _TENTHS // len(risk)
    rng = np.random.default_rng(seed)

    def shares(counts: Floats) -> tuple[Floats, Floats]:
        weight = weights * counts
        mass = np.bincount(tenth, weight, _TENTHS)
        expected = np.bincount(tenth, weight * risk, _TENTHS) / mass
        return expected, 100 * np.bincount(tenth, weight * happened, _TENTHS) / mass

    expected, observed = shares(np.ones(len(risk)))
    drawn = [
        shares(np.bincount(people, minlength=len(risk)).astype(np.float64))[1]
        for people in rng.integers(len(risk), size=(_REPEATS, len(risk)))
    ]
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    return np.stack([expected, observed, low, high])


def facts_of_tenths(
    cohort: Cohort, held_out: NDArray[np.intp], found: Fitted, seed: int
) -> dict[str, Any]:
    """Return what the picture shows, for `evaluation.json`."""
    predictor = cohort.predictor[held_out]
    names = ("mean_risk_percent", "observed_percent", "low", "high")
    return {
        when: dict(zip(names, _tenths(cohort, held_out, each, seed).tolist(), strict=True))
        for when, each in (("before", predictor), ("after", found.applied(predictor)))
    }
