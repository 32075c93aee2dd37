"""How well probabilities and decisions agree with the truth, with patient-level uncertainty.

All functions take weights so that a shifted validation (`datasets.acquisition`) is judged by the
same code as a plain one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Equal-mass bins of the calibration error."""
CONFIDENCE = 0.95
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Threshold probabilities of the decision curve."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scored:
    """Probabilities of one label for a set of images, with what is true of them."""

    truth: Bools
    """Whether the finding is present, shape (n,)."""
    probability: Floats
    """Calibrated, shape (n,)."""
    groups: NDArray[np.str_]
    """Patients, shape (n,)."""
    weights: Floats
    """Shape (n,), all above 0."""

    def take(self, indices: NDArray[np.intp]) -> "Scored":
        """Return the images at `indices`; an index may come several times."""
        return Scored(
            self.truth[indices],
            self.probability[indices],
            self.groups[indices],
            self.weights[indices],
        )

    def unweighted(self) -> "Scored":
        """Return the same with every image counting once."""
        return Scored(self.truth, self.probability, self.groups, np.ones(len(self.truth)))


def auc(truth: Bools, score: Floats, weights: Floats | None = None) -> float:
    """Return the area under the ROC curve: how often a positive outranks a negative, ties half.

    Returns nan where one class is absent.
    """
    weight = np.ones(len(truth)) if weights is None else weights
    if truth.all() or not truth.any():
        return float("nan")
    _, rank = np.unique(score, return_inverse=True)
    positive = np.bincount(rank, weight * truth)
    negative = np.bincount(rank, weight * ~truth)
    below = np.cumsum(negative) - negative
    wins = (positive * (below + negative / 2)).sum()
    return float(wins / (positive.sum() * negative.sum()))


def sensitivity(truth: Bools, called: Bools, weights: Floats) -> float:
    """Return the share of positives that are called positive; nan without positives."""
    return _share(called[truth], weights[truth])


def specificity(truth: Bools, called: Bools, weights: Floats) -> float:
    """Return the share of negatives that are not called positive; nan without negatives."""
    return _share(~called[~truth], weights[~truth])


def accuracy(truth: Bools, called: Bools, weights: Floats) -> float:
    """Return the share of images that are called rightly."""
    return _share(called == truth, weights)


def calibration_error(truth: Bools, probability: Floats, weights: Floats) -> float:
    """Return the expected calibration error over equal-mass bins, 0 to 1.

    Naeini et al., AAAI 2015; equal mass after Nixon et al., arXiv:1904.01685: with bins of equal
    width nearly all images of a good model fall into the two outermost.
    """
    order = np.argsort(probability, kind="stable")
    total = weights.sum()
    middle = np.cumsum(weights[order]) - weights[order] / 2
    bins = np.minimum((middle / total * BINS).astype(np.intp), BINS - 1)
    mass = np.bincount(bins, weights[order], BINS)
    expected = np.bincount(bins, weights[order] * probability[order], BINS)
    observed = np.bincount(bins, weights[order] * truth[order], BINS)
    return float(np.abs(expected - observed)[mass > 0].sum() / total)


def brier(truth: Bools, probability: Floats, weights: Floats) -> float:
    """Return the mean squared error of the probabilities (Brier, Mon Weather Rev 1950;78:1)."""
    return float(np.average((probability - truth) ** 2, weights=weights))


def score_all(scored: Scored, operating_point: float) -> dict[str, float]:
    """Return every figure of `scored`, decisions taken at `operating_point`."""
    truth, probability, weights = scored.truth, scored.probability, scored.weights
    called = probability >= operating_point
    return {
        "auc": auc(truth, probability, weights),
        "accuracy": accuracy(truth, called, weights),
        "sensitivity": sensitivity(truth, called, weights),
        "specificity": specificity(truth, called, weights),
        "calibration_error": calibration_error(truth, probability, weights),
        "brier": brier(truth, probability, weights),
        "balanced_accuracy": (
            sensitivity(truth, called, weights) + specificity(truth, called, weights)
        )
        / 2,
        "f1": f1(truth, called, weights),
    }


def f1(truth: Bools, called: Bools, weights: Floats) -> float:
    """Return the harmonic mean of sensitivity and positive predictive value; 0 where none is."""
    right = weights[truth & called].sum()
    half = (weights[truth].sum() + weights[called].sum()) / 2
    return float(right / half) if half > 0 else 0.0


def score_classes(truth: Bools, probability: Floats) -> dict[str, float]:
    """Return the figures of classes that exclude each other, the likeliest being called.

    Args:
        truth: which class is true, shape (n, classes).
        probability: calibrated, shape (n, classes), rows that sum to 1.
    """
    called = probability.argmax(axis=1)
    right = truth[np.arange(len(truth)), called]
    recalls = [float(right[column].mean()) for column in truth.T if column.any()]
    areas = [auc(column, probability[:, at]) for at, column in enumerate(truth.T)]
    ones = np.ones(len(truth))
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "auc": float(np.mean(areas)),
        "calibration_error": calibration_error(right, probability.max(axis=1), ones),
        "brier": float(((probability - truth) ** 2).sum(axis=1).mean()),
    }


def calibration_error_by_chance(
    probability: Floats, weights: Floats, seed: int, repeats: int = 200
) -> float:
    """Return the mean calibration error of a model that is calibrated perfectly on such a set.

    Even then it is above 0, the more so the fewer the samples: outcomes are drawn by the given
    probabilities (consistency resampling: Broecker & Smith, Weather Forecast 2007;22:651).
    """
    rng = np.random.default_rng(seed)
    drawn = rng.random((repeats, len(probability))) < probability
    return float(np.mean([calibration_error(each, probability, weights) for each in drawn]))


def decision_curve(scored: Scored) -> dict[str, list[float]]:
    """Return the net benefit at each threshold probability, of the model and of treating all.

    Vickers & Elkin, Med Decis Making 2006;26:565.
    """
    share = float(np.average(scored.truth, weights=scored.weights))
    total = scored.weights.sum()
    curve: dict[str, list[float]] = {"threshold": [], "model": [], "treat_all": []}
    for threshold in THRESHOLDS:
        odds = threshold / (1 - threshold)
        called = scored.probability >= threshold
        true = scored.weights[called & scored.truth].sum() / total
        false = scored.weights[called & ~scored.truth].sum() / total
        curve["threshold"].append(threshold)
        curve["model"].append(float(true - false * odds))
        curve["treat_all"].append(share - (1 - share) * odds)
    return curve


def bootstrap(
    scored: Scored,
    figures: Callable[[Scored], dict[str, float]],
    repeats: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Return each figure of `scored` with its 95 % interval; see `bootstrap_groups`."""
    return bootstrap_groups(scored.groups, lambda drawn: figures(scored.take(drawn)), repeats, seed)


def bootstrap_groups(
    groups: NDArray[np.str_],
    figures: Callable[[NDArray[np.intp]], dict[str, float]],
    repeats: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Return each figure with its 95 % interval from resampled patients.

    Patients, not images, are drawn with replacement: images of one child are not independent.
    Percentile interval (Efron & Tibshirani 1993, chapter 13). Draws in which a figure is undefined
    are left out of it. A calibration error is larger in nearly every draw than in the whole, for
    samples that come twice leave fewer to average over: its interval is moved by that bias
    (chapter 10), or it would lie beside the figure.

    Args:
        groups: patient of each sample, shape (n,).
        figures: computes the figures of the samples at some indices, which may come several times.
        repeats: number of draws.
        seed: decides the draws.
    """
    rng = np.random.default_rng(seed)
    _, group = np.unique(groups, return_inverse=True)
    by_group, sizes = np.argsort(group, kind="stable"), np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    draws = []
    for _ in range(repeats):
        chosen = rng.integers(len(sizes), size=len(sizes))
        counts = sizes[chosen]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        draws.append(figures(by_group[np.repeat(starts[chosen], counts) + within]))
    tail = 100 * (1 - CONFIDENCE) / 2
    result = {}
    for name, value in figures(np.arange(len(groups))).items():
        drawn = np.array([draw[name] for draw in draws])
        drawn = drawn[np.isfinite(drawn)]
        if name == "calibration_error" and len(drawn):
            drawn = np.maximum(drawn - (drawn.mean() - value), 0.0)
        low, high = np.percentile(drawn, [tail, 100 - tail]) if len(drawn) else (value, value)
        result[name] = {"value": value, "low": float(low), "high": float(high)}
    return result


def _share(hits: Bools, weights: Floats) -> float:
    return float(np.average(hits, weights=weights)) if len(hits) else float("nan")
