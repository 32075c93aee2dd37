"""The picture of a comparison: both versions' curves, and how much each figure differs."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from training.comparison import Difference
from training.locked_set import LockedSet

mpl.use("Agg")  # no display where models are compared

_COLOURS = ("#31708f", "#c0392b")
_HIGHER_IS_WORSE = ("brier", "calibration_error")


def draw_comparison(
    names: tuple[str, str],
    pair: tuple[LockedSet, LockedSet],
    found: Sequence[Difference],
    path: Path,
) -> Path:
    """Draw a row for each label: ROC, reliability, and the paired differences; return `path`."""
    labels = pair[0].labels
    figure = Figure(figsize=(13, 3.9 * len(labels)), dpi=100, layout="constrained")
    table = np.atleast_2d(figure.subplots(len(labels), 3))
    for at, label in enumerate(labels):
        _roc(table[at, 0], names, pair, at)
        _reliability(table[at, 1], names, pair, at)
        _forest(table[at, 2], names, [each for each in found if each.label == label])
        table[at, 0].set_title(label, loc="left", fontweight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _roc(axes: Axes, names: tuple[str, str], pair: tuple[LockedSet, LockedSet], at: int) -> None:
    for name, kept, colour in zip(names, pair, _COLOURS, strict=True):
        truth, probability = kept.truth[:, at], kept.probability[:, at]
        false, true, _ = roc_curve(truth, probability, sample_weight=kept.weights)
        axes.plot(false, true, color=colour, label=name)
        called = probability >= kept.operating_points[at]
        axes.plot((called & ~truth).sum() / max(1, (~truth).sum()),
                  (called & truth).sum() / max(1, truth.sum()), "o", color=colour)  # fmt: skip
    axes.plot([0, 1], [0, 1], ":", color="0.7")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")
    axes.legend(loc="lower right", fontsize=8)


def _reliability(
    axes: Axes, names: tuple[str, str], pair: tuple[LockedSet, LockedSet], at: int
) -> None:
    for name, kept, colour in zip(names, pair, _COLOURS, strict=True):
        found, given = calibration_curve(
            kept.truth[:, at], np.clip(kept.probability[:, at], 0, 1), n_bins=8
        )
        axes.plot(given, found, "o-", color=colour, label=name)
    axes.plot([0, 1], [0, 1], ":", color="0.7")
    axes.set(xlabel="calibrated probability", ylabel="share with the finding")


def _forest(axes: Axes, names: tuple[str, str], found: Sequence[Difference]) -> None:
    for row, each in enumerate(reversed(found)):
        better = -each.difference if each.figure in _HIGHER_IS_WORSE else each.difference
        colour = "#1e6b34" if better >= 0 else "#c0392b"
        axes.plot([each.low, each.high], [row, row], color=colour)
        axes.plot(each.difference, row, "o", color=colour)
    axes.axvline(0, color="0.5", linestyle=":")
    figures = [each.figure.replace("_", " ") for each in reversed(found)]
    axes.set_yticks(range(len(found)), figures)
    axes.set_ylim(-0.6, len(found) - 0.4)
    # On two lines: the names of two versions do not fit on one.
    axes.set_xlabel(f"{names[1]} minus\n{names[0]}, paired 95 % interval", fontsize=8)
