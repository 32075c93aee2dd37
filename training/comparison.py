"""Two versions of a model on the same locked set, sample by sample.

The difference of each figure is taken within each bootstrap draw of patients, so that what both
versions find hard cancels out (paired percentile interval; Efron & Tibshirani 1993, chapter 13).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.locked_set import LockedSet
from training.registry import ReleaseError

REPEATS = 1000
FIGURES = ("auc", "sensitivity", "specificity", "brier", "calibration_error")
HIGHER_IS_WORSE = ("brier", "calibration_error")


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both versions, and how much the second differs from the first."""

    label: str
    figure: str
    first: float
    second: float
    difference: float
    """Second minus first."""
    low: float
    """Of the 95 % interval of the difference."""
    high: float

    @property
    def lost(self) -> float:
        """The most that the second version loses of the figure, within the interval."""
        return self.high if self.figure in HIGHER_IS_WORSE else -self.low

    def beyond(self, accepted: Mapping[str, float]) -> float:
        """Return by how much that is beyond the `accepted` loss of the figure; 0 where it is not.

        Nothing is beyond where no loss is named; a loss that is not known is not a number, which is
        not accepted either.
        """
        if self.figure not in accepted or self.lost <= accepted[self.figure]:
            return 0.0
        return self.lost - accepted[self.figure]

    def kept(self, accepted: Mapping[str, float]) -> str:
        """Return the accepted loss of the figure, and whether it is kept, in words."""
        if self.figure not in accepted:
            return "-"
        over = self.beyond(accepted)
        return f"{accepted[self.figure]:g}, {f'exceeded by {over:.2g}' if over else 'kept'}"


def paired(first: LockedSet, second: LockedSet) -> tuple[LockedSet, LockedSet]:
    """Return both on the samples of `first`, in its order.

    Raises:
        ReleaseError: they are not of the same labels, or the second lacks samples of the first.
    """
    if first.labels != second.labels:
        raise ReleaseError(
            f"The versions find {list(first.labels)} and {list(second.labels)}; only versions with "
            "the same labels can be compared."
        )
    where = {sample: at for at, sample in enumerate(second.samples.tolist())}
    missing = [sample for sample in first.samples.tolist() if sample not in where]
    if missing:
        raise ReleaseError(
            f"{len(missing)} of the {len(first)} samples of the locked set are not in that of the "
            "other version, which may have been trained on them. Train it with the same data and "
            "split, so that the locked set stays locked."
        )
    order = np.array([where[sample] for sample in first.samples.tolist()], dtype=np.intp)
    return first, second.take(order)


def differences(first: LockedSet, second: LockedSet, seed: int = 0) -> list[Difference]:
    """Return every figure of every label of two paired locked sets, with paired intervals."""
    found = []
    for at, label in enumerate(first.labels):
        found += _of_label(label, at, first, second, seed)
    return found


def right_alone(first: LockedSet, second: LockedSet) -> dict[str, dict[str, int]]:
    """Return by label how many samples the `first` and the `second` alone call rightly.

    Of two paired locked sets, each at its own operating point: the cells in which the two decide
    otherwise (McNemar, Psychometrika 1947;12:153). Samples of weight 0, of which the truth is not
    known, do not count.
    """
    found = {}
    for at, label in enumerate(first.labels):
        left, right = (
            ((kept.probability[:, at] >= kept.operating_points[at]) == first.truth[:, at])
            & (first.weights > 0)
            for kept in (first, second)
        )
        found[label] = {"first": int((left & ~right).sum()), "second": int((right & ~left).sum())}
    return found


def figures_of(kept: LockedSet, at: int, weights: NDArray[np.float64]) -> dict[str, float]:
    """Return the figures of the label at `at`, each sample counting with its weight."""
    truth, probability = kept.truth[:, at], kept.probability[:, at]
    called = probability >= kept.operating_points[at]
    used = weights > 0
    truth, probability, called, weights = (
        truth[used],
        probability[used],
        called[used],
        weights[used],
    )
    return {
        "auc": metrics.auc(truth, probability, weights),
        "sensitivity": metrics.sensitivity(truth, called, weights),
        "specificity": metrics.specificity(truth, called, weights),
        "brier": metrics.brier(truth, probability, weights),
        "calibration_error": metrics.calibration_error(truth, probability, weights),
    }


def drawn_weights(kept: LockedSet, seed: int) -> Callable[[], NDArray[np.float64]]:
    """Return what gives, at each call, the weights of one bootstrap draw of the groups."""
    rng = np.random.default_rng(seed)
    _, group = np.unique(kept.groups, return_inverse=True)
    count = int(group.max()) + 1

    def draw() -> NDArray[np.float64]:
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        weights: NDArray[np.float64] = kept.weights * times[group]
        return weights

    return draw


def _of_label(
    label: str, at: int, first: LockedSet, second: LockedSet, seed: int
) -> list[Difference]:
    whole = figures_of(first, at, first.weights), figures_of(second, at, first.weights)
    draw = drawn_weights(first, seed)
    draws: dict[str, list[float]] = {name: [] for name in FIGURES}
    for _ in range(REPEATS):
        weights = draw()
        left, right = figures_of(first, at, weights), figures_of(second, at, weights)
        for name in FIGURES:
            draws[name].append(right[name] - left[name])
    found = []
    for name in FIGURES:
        values = np.array(draws[name])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
        a, b = whole[0][name], whole[1][name]
        found.append(Difference(label, name, a, b, b - a, float(low), float(high)))
    return found
