"""The pictures of an evaluation: for the card and for the MLflow run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training import metrics
from training.metrics import Scored

mpl.use("Agg")  # no display where models are trained

_SIZE_INCHES = (5.0, 4.2)
_DPI = 100
COLUMN_INCHES = 2.2
"""Width of each picture on a page of pictures."""
_BINS = 10
TITLE_POINTS = 8
"""Size of what stands over it."""


def roc_plot(parts: Mapping[str, Scored], operating_point: float, path: Path) -> Path:
    """Draw the ROC curve of each of `parts`, with the operating point on it."""
    figure, axes = _figure("1 - specificity", "sensitivity")
    for name, scored in parts.items():
        false, true = _roc(scored)
        area = metrics.auc(scored.truth, scored.probability, scored.weights)
        (line,) = axes.plot(false, true, label=f"{name}: AUC {area:.3f}")
        figures = metrics.score_all(scored, operating_point)
        axes.plot(1 - figures["specificity"], figures["sensitivity"], "o", color=line.get_color())
    axes.plot([0, 1], [0, 1], ":", color="0.7")
    axes.legend(loc="lower right", fontsize=8)
    return _saved(figure, path)


def reliability_plot(parts: Mapping[str, Scored], path: Path) -> Path:
    """Draw how often the finding is present against the probability that was given."""
    figure, axes = _figure("calibrated probability", "share with the finding")
    for at, (name, scored) in enumerate(parts.items()):
        error = metrics.calibration_error(scored.truth, scored.probability, scored.weights)
        draw_reliability(axes, scored, f"C{at}", f"{name}: error {error:.3f}")
    axes.legend(loc="upper left", fontsize=8)
    return _saved(figure, path)


def draw_reliability(axes: Any, scored: Scored, colour: str, label: str) -> None:
    """Draw one reliability curve: a disc for each tenth of probability, its area by its samples.

    With the 95 % interval of each share (Wilson): of few samples a share far from the probability
    says nothing, which a line through the shares alone would hide.
    """
    axes.plot([0, 1], [0, 1], ":", color="0.7")
    cell = np.minimum((scored.probability * _BINS).astype(int), _BINS - 1)
    mass = np.bincount(cell, scored.weights, _BINS)
    held = mass > 0
    mass = mass[held]
    given = np.bincount(cell, scored.weights * scored.probability, _BINS)[held] / mass
    found = np.bincount(cell, scored.weights * scored.truth, _BINS)[held] / mass
    # Samples of unequal weight tell as much as so many of equal weight (Kish 1965).
    number = mass**2 / np.bincount(cell, scored.weights**2, _BINS)[held]
    low, high = _wilson(found, number)
    axes.vlines(given, low, high, color=colour, alpha=0.4)
    area = 12 + 120 * mass / mass.sum()
    axes.scatter(given, found, s=area, color=colour, label=label, zorder=2)


def _wilson(
    share: NDArray[np.float64], number: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 95 % interval of each share of `number` samples (Wilson 1927)."""
    z = 1.959964
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2)) / (1 + z**2 / number)
    return middle - half, middle + half


def decision_plot(parts: Mapping[str, Scored], path: Path) -> Path:
    """Draw the net benefit of acting on the model against acting on all or none (decision curve).

    Vickers & Elkin, Med Decis Making 2006;26:565.
    """
    figure, axes = _figure("threshold probability", "net benefit")
    for name, scored in parts.items():
        curve = metrics.decision_curve(scored)
        (line,) = axes.plot(curve["threshold"], curve["model"], label=name)
        axes.plot(curve["threshold"], curve["treat_all"], ":", color=line.get_color())
    axes.axhline(0.0, color="0.6")
    axes.set_ylim(bottom=-0.05)
    axes.legend(loc="lower left", fontsize=8, title="dotted: all are treated")
    return _saved(figure, path)


def learning_plot(members: Sequence[Sequence[Mapping[str, float]]], path: Path) -> Path:
    """Draw plain and shifted validation over the epochs of each member."""
    figure, axes = _figure("epoch", "AUC on the validation part")
    for number, scores in enumerate(members):
        epochs = np.arange(1, len(scores) + 1)
        curves = (("auc", "-"), ("matched_auc", "--"), ("swapped_auc", ":"))
        for name, style in (curve for curve in curves if curve[0] in scores[0]):
            values = [each[name] for each in scores]
            label = name.replace("_", " ") if number == 0 else None
            axes.plot(epochs, values, style, color=f"C{number}", label=label)
    axes.legend(loc="lower right", fontsize=8)
    return _saved(figure, path)


def score_plot(scores: Mapping[str, NDArray[np.float64]], path: Path) -> Path:
    """Draw the distribution of the out-of-distribution score for each kind of input."""
    figure = Figure(figsize=(7.0, 0.35 * len(scores) + 1.2), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    for row, (_, values) in enumerate(scores.items()):
        axes.plot(values, np.full(len(values), row), "|", markersize=12, alpha=0.5)
    axes.axvline(1.0, color="0.4", linestyle="--")
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set_xscale("log")
    axes.set_xlabel("distance from what the model was made for (above 1 is refused)")
    axes.invert_yaxis()
    return _saved(figure, path)


def heatmap_plot(
    pixels: NDArray[np.uint8],
    maps: NDArray[np.float32],
    captions: Sequence[str],
    path: Path,
) -> Path:
    """Draw images, shape (n, rows, columns[, 3]), with activation maps (n, cells, cells) on top.

    One colour scale for all, and no colour where the map speaks against the finding.
    """
    count, columns = len(pixels), 4
    rows = -(-count // columns)
    size = (COLUMN_INCHES * columns, 2.4 * rows)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    strongest = max(float(maps.max()), 1e-6)
    for index in range(count):
        axes = figure.add_subplot(rows, columns, index + 1)
        side = pixels[index].shape
        extent = (0, side[1], side[0], 0)  # left, right, bottom, top
        axes.imshow(pixels[index], cmap="gray", vmin=0, vmax=255, extent=extent)
        shown = np.clip(maps[index], 0, None) / strongest
        axes.imshow(
            shown,
            cmap="inferno",
            alpha=0.6 * shown,
            vmin=0,
            vmax=1,
            extent=extent,
            interpolation="bilinear",
        )
        axes.set_title(captions[index], fontsize=TITLE_POINTS)
        axes.set_axis_off()
    return _saved(figure, path)


def _roc(scored: Scored) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(-scored.probability, kind="stable")
    weights, truth = scored.weights[order], scored.truth[order]
    true = np.concatenate([[0.0], np.cumsum(weights * truth)])
    false = np.concatenate([[0.0], np.cumsum(weights * ~truth)])
    return false / false[-1], true / true[-1]


def _figure(horizontal: str, vertical: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(visible=True, color="0.92")
    return figure, axes


def _saved(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the date and version of the drawing library the same figures give the same file.
    figure.savefig(path, metadata={"Software": None})
    return path
