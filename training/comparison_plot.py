"""The picture of a comparison: both versions' curves, and how much each figure differs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from training.comparison import HIGHER_IS_WORSE, Difference, figures_of
from training.locked_set import LockedSet
from training.metrics import Scored
from training.plots import draw_reliability
from training.registry import ReleaseError

mpl.use("Agg")  # no display where models are compared

_COLOURS = ("#31708f", "#c0392b")


def draw_comparison(
    names: tuple[str, str],
    pair: tuple[LockedSet, LockedSet],
    found: Sequence[Difference],
    accepted: Mapping[str, float],
    path: Path,
) -> Path:
    """Draw a row for each label: ROC, reliability, and the paired differences; return `path`.

    `accepted` says, by figure, how much may be lost.

    Raises:
        ReleaseError: there can be no such picture at `path`.
    """
    if path.suffix.lower() != ".png":
        raise ReleaseError(f"The picture is a PNG; {path.name} does not end in .png.")
    labels = pair[0].labels
    figure = Figure(figsize=(13, 3.9 * len(labels)), dpi=100, layout="constrained")
    table = np.atleast_2d(figure.subplots(len(labels), 3))
    for at, label in enumerate(labels):
        _roc(table[at, 0], names, pair, at)
        _reliability(table[at, 1], names, pair, at)
        _forest(table[at, 2], names, [each for each in found if each.label == label], accepted)
        table[at, 0].set_title(label, loc="left", fontweight="bold")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without the version of the drawing library the same figures give the same file.
        figure.savefig(path, metadata={"Software": None})
    except OSError as error:
        raise ReleaseError(
            f"The picture cannot be written to {path} ({error.strerror}); name another place by "
            "--out."
        ) from error
    return path


def _roc(axes: Axes, names: tuple[str, str], pair: tuple[LockedSet, LockedSet], at: int) -> None:
    for name, kept, colour in zip(names, pair, _COLOURS, strict=True):
        truth, probability = kept.truth[:, at], kept.probability[:, at]
        false, true, _ = roc_curve(truth, probability, sample_weight=kept.weights)
        axes.plot(false, true, color=colour, label=name)
        point = figures_of(kept, at, kept.weights)
        axes.plot(1 - point["specificity"], point["sensitivity"], "o", color=colour)
    axes.plot([0, 1], [0, 1], ":", color="0.7")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")
    axes.legend(loc="lower right", fontsize=8)


def _reliability(
    axes: Axes, names: tuple[str, str], pair: tuple[LockedSet, LockedSet], at: int
) -> None:
    for name, kept, colour in zip(names, pair, _COLOURS, strict=True):
        used = kept.take(np.flatnonzero(kept.weights > 0))
        probability = np.clip(used.probability[:, at], 0, 1)
        scored = Scored(used.truth[:, at], probability, used.groups, used.weights)
        draw_reliability(axes, scored, colour, name)
    axes.set(xlabel="calibrated probability", ylabel="share with the finding")


def _forest(
    axes: Axes, names: tuple[str, str], found: Sequence[Difference], accepted: Mapping[str, float]
) -> None:
    """Draw each difference with its interval, and the loss that the gate accepts as a tick."""
    for row, each in enumerate(reversed(found)):
        sign = -1 if each.figure in HIGHER_IS_WORSE else 1
        ends = sorted((sign * each.low, sign * each.high))
        worse, better = ends[1] < 0, ends[0] > 0
        colour = "#c0392b" if worse else "#1e6b34" if better else "#555555"
        axes.plot([each.low, each.high], [row, row], color=colour)
        axes.plot(each.difference, row, "o", color=colour)
        if each.figure in accepted:
            axes.plot(-sign * accepted[each.figure], row, "|", color="black", markersize=14)
    axes.axvline(0, color="0.5", linestyle=":")
    figures = [each.figure.replace("_", " ") for each in reversed(found)]
    axes.set_yticks(range(len(found)), figures)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    # On lines of their own: the names of two versions do not fit on one.
    told = f"{names[1]} minus\n{names[0]}, paired 95 % interval"
    axes.set_xlabel(
        f"{told}\ngreen: better, red: worse; bar: the loss that is accepted", fontsize=8
    )
