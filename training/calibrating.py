"""Fit what turns a logit into a probability, a decision and a conformal set.

Fitted on the validation part alone. Its images may be weighted so that acquisition tells less about
the class (`datasets.acquisition`) and so that the classes are as frequent as where the model is
meant to be used: probabilities fitted on an easy, one-sided validation are overconfident elsewhere.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from models.calibration import Calibration, LabelCalibration
from models.errors import DataError
from training import metrics

CRITERIA = ("accuracy", "balanced_accuracy", "fixed")


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """How the calibration is fitted."""

    shift_power: float = 0.5
    """Matched weights are raised to this: 0 ignores the shift, 1 matches fully."""
    prevalence: float | None = None
    """Share of positives that the probabilities are meant for; `None` keeps the validation's."""
    augmented_copies: int = 0
    """Augmented copies of the validation images that are fitted too: other acquisitions."""
    scenario_weight: float = 0.0
    """How much the validation images count as each acquisition scenario would have made them
    (`training.scenarios`), relative to the images as they are; 0 leaves the scenarios out."""
    operating_point: str = "balanced_accuracy"
    """What the operating point maximises: `accuracy`, `balanced_accuracy`, or `fixed`."""
    fixed_operating_point: float = 0.5
    """The probability that is used where `operating_point` is `fixed`."""
    conformal_coverage: float = 0.95
    """Share of each class whose true answer is to be in its conformal set."""

    def __post_init__(self) -> None:
        if self.operating_point not in CRITERIA:
            raise DataError(
                f"calibration.operating_point is {self.operating_point!r}; expected one of "
                f"{', '.join(CRITERIA)}."
            )


def fit_weights(
    truth: NDArray[np.bool_], matched: NDArray[np.float64], config: CalibrationConfig
) -> NDArray[np.float64]:
    """Return how much each validation image counts, mean 1, shape (n,)."""
    weights = matched**config.shift_power
    share = truth.mean() if config.prevalence is None else config.prevalence
    # The share of the classes is set whatever the matching did to it.
    weights = np.where(
        truth, weights * share / weights[truth].sum(), weights * (1 - share) / weights[~truth].sum()
    )
    normalised: NDArray[np.float64] = weights * len(truth)
    return normalised


def fit_classes(
    logits: NDArray[np.float64],
    truth: NDArray[np.bool_],
    weights: NDArray[np.float64],
    config: CalibrationConfig,
) -> Calibration:
    """Fit the calibration of labels that exclude each other.

    Args:
        logits: shape (n, labels).
        truth: which label is true, shape (n, labels).
        weights: shape (n,).
        config: how.

    Raises:
        DataError: a class is absent, or the logits do not rise with the classes.
    """
    if not truth.any(axis=0).all():
        raise DataError("Calibration needs validation images of every class.")
    slope, biases = _temperature(logits, truth, weights)
    plain = tuple(
        LabelCalibration(slope, float(bias), 0.5, config.conformal_coverage, 0.0, 1.0)
        for bias in biases
    )
    probability = Calibration(plain, exclusive=True).probabilities(logits)
    fitted = []
    for at, each in enumerate(plain):
        present_from, absent_to = conformal_bounds(
            probability[:, at], truth[:, at], weights, config.conformal_coverage
        )
        fitted.append(replace(each, present_from=present_from, absent_to=absent_to))
    return Calibration(tuple(fitted), exclusive=True)


def _temperature(
    logits: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return one slope and a bias a class that maximise the weighted likelihood.

    The targets are smoothed as Platt's are, and the biases held near 0: separable classes would
    otherwise have an infinite slope.
    """
    classes = truth.shape[1]
    counts = (weights[:, None] * truth).sum(axis=0)
    target = np.where(truth, (counts + 1) / (counts + classes), 0.0)
    rest = 1 - target.sum(axis=1, keepdims=True)
    target = np.where(truth, target, rest / (classes - 1))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = np.exp(parameters[0]) * logits + parameters[1:]
        told = special.log_softmax(scores, axis=1)
        error = weights[:, None] * (np.exp(told) - target)
        value = -(weights[:, None] * target * told).sum() + (parameters[1:] ** 2).sum()
        slope = (error * logits).sum() * np.exp(parameters[0])
        return float(value), np.concatenate([[slope], error.sum(axis=0) + 2 * parameters[1:]])

    found = optimize.minimize(loss, np.zeros(classes + 1), jac=True, method="BFGS")
    return float(np.exp(found.x[0])), np.asarray(found.x[1:])


def fit(
    logits: NDArray[np.float64],
    truth: NDArray[np.bool_],
    weights: NDArray[np.float64],
    config: CalibrationConfig,
) -> LabelCalibration:
    """Fit one label's calibration.

    Raises:
        DataError: only one class is present, or the logits rise as the finding disappears.
    """
    if truth.all() or not truth.any():
        raise DataError("Calibration needs validation images of both classes.")
    slope, intercept = _platt(logits, truth, weights)
    if slope <= 0:
        raise DataError(
            f"Calibration found a slope of {slope:.3g}: on the validation part the logit does not "
            "rise with the finding. Train longer or check the labels."
        )
    probability = 1 / (1 + np.exp(-(slope * logits + intercept)))
    present_from, absent_to = conformal_bounds(
        probability, truth, weights, config.conformal_coverage
    )
    return LabelCalibration(
        slope=slope,
        intercept=intercept,
        operating_point=_operating_point(probability, truth, weights, config),
        conformal_coverage=config.conformal_coverage,
        present_from=present_from,
        absent_to=absent_to,
    )


def conformal_bounds(
    probability: NDArray[np.float64],
    truth: NDArray[np.bool_],
    weights: NDArray[np.float64],
    coverage: float,
) -> tuple[float, float]:
    """Return the Mondrian bounds `present_from` and `absent_to` of `models.calibration`.

    Weighted split conformal prediction (Tibshirani et al., NeurIPS 2019, arXiv:1904.06019), one
    class at a time; the new image's own unit of weight counts as the most unusual.
    """
    positive, negative = probability[truth], probability[~truth]
    # Negated and not taken from 1, which would round the bound past the image it comes from.
    present_from = -_upper(-positive, weights[truth], coverage, most=-0.0)
    return present_from, _upper(negative, weights[~truth], coverage, most=1.0)


def _upper(
    nonconformity: NDArray[np.float64],
    weights: NDArray[np.float64],
    coverage: float,
    most: float,
) -> float:
    """Return the smallest value that `coverage` of the weight, the new image's included, reaches.

    `most`, the highest possible value, where the images are too few to promise that coverage: then
    nothing can be excluded.
    """
    order = np.argsort(nonconformity, kind="stable")
    reached = np.cumsum(weights[order]) / (weights.sum() + weights.mean())
    index = int(np.searchsorted(reached, coverage - 1e-12))
    return float(nonconformity[order][index]) if index < len(order) else most


def _platt(
    logits: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Return slope and intercept that maximise the weighted likelihood (Platt 1999)."""
    # Platt's targets, which keep separable data from running off to an infinite slope.
    up, down = weights[truth].sum(), weights[~truth].sum()
    target = np.where(truth, (up + 1) / (up + 2), 1 / (down + 2))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = parameters[0] * logits + parameters[1]
        value = weights * (np.logaddexp(0, score) - target * score)
        error = weights * (1 / (1 + np.exp(-score)) - target)
        return float(value.sum()), np.array([(error * logits).sum(), error.sum()])

    found = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS")
    return float(found.x[0]), float(found.x[1])


def _operating_point(
    probability: NDArray[np.float64],
    truth: NDArray[np.bool_],
    weights: NDArray[np.float64],
    config: CalibrationConfig,
) -> float:
    if config.operating_point == "fixed":
        return config.fixed_operating_point
    values = np.unique(probability)
    candidates = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [1.0]])
    gains = []
    for candidate in candidates:
        called = probability >= candidate
        if config.operating_point == "accuracy":
            gains.append(metrics.accuracy(truth, called, weights))
        else:
            gains.append(
                (
                    metrics.sensitivity(truth, called, weights)
                    + metrics.specificity(truth, called, weights)
                )
                / 2
            )
    # The middle of all that are equally good: the most robust to a small shift.
    best = candidates[np.array(gains) >= max(gains) - 1e-12]
    return float(best[len(best) // 2])
