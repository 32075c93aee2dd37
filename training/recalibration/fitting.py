"""Intercept and slope of a linear predictor, by weighted maximum likelihood.

A binomial regression of what came within the horizon on the predictor, with the link of the
equation: complementary log-log for proportional hazards, logit for logistic equations. Those who
were lost from observation are made up for by weights (`Cohort.seen`). Cox, Biometrika 1958;45:562;
van Houwelingen, Stat Med 2000;19:3401; Vock et al., J Biomed Inform 2016;61:119.
"""

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.risk.scales import Scale, to_percent

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_STEPS = 60
_ENOUGH = 1e-8
_LEAST = 1e-12
"""Probabilities are kept this far from 0 and 1, where the likelihood has no value."""


def probability(scale: Scale, predictor: Floats) -> Floats:
    """Return the probability, 0 to 1, of a value on `scale`."""
    return np.clip(to_percent(scale, predictor) / 100, _LEAST, 1 - _LEAST)


def fit(
    scale: Scale,
    predictor: Floats,
    happened: Bools,
    weights: Floats,
    *,
    start: tuple[float, float] = (0.0, 1.0),
    slope: float | None = None,
) -> tuple[float, float]:
    """Return intercept and slope, by Fisher scoring.

    Args:
        scale: of the predictor; decides the link.
        predictor: shape (people,).
        happened: shape (people,).
        weights: shape (people,), 0 for those of whom the outcome is not known.
        start: where the search begins.
        slope: held to this value where given, and the intercept alone is fitted.

    Raises:
        DataError: there is no maximum: the event came to all, to none, or is told apart exactly.
    """
    known = weights > 0
    # About its middle, intercept and slope hardly depend on each other.
    middle = float(predictor[known].mean()) if known.any() else 0.0
    design = np.stack([np.ones(int(known.sum())), predictor[known] - middle])
    truth, weight = happened[known].astype(np.float64), weights[known]
    free = 1 if slope is not None else 2
    first = start[1] if slope is None else slope
    found = np.array([start[0] + first * middle, first])
    if truth.any() and not truth.all():
        for _ in range(_STEPS):
            step = _step(scale, design, truth, weight, found, free)
            found[:free] += np.clip(step, -2, 2)
            if np.abs(step).max() < _ENOUGH:
                return float(found[0] - found[1] * middle), float(found[1])
    raise DataError(
        "Intercept and slope cannot be fitted: the event came to nobody, to everybody, or exactly "
        "to those with the highest risks."
    )


def _step(
    scale: Scale, design: Floats, truth: Floats, weight: Floats, found: Floats, free: int
) -> Floats:
    linear = found @ design
    expected = probability(scale, linear)
    spread = expected * (1 - expected)
    # How fast the probability rises with the predictor.
    rate = np.exp(linear) * (1 - expected) if scale is Scale.LOG_HAZARD else spread
    used = design[:free]
    score = used @ (weight * (truth - expected) * rate / spread)
    information = (used * (weight * rate**2 / spread)) @ used.T
    return np.asarray(np.linalg.solve(information, score))


def log_score(scale: Scale, predictor: Floats, happened: Bools, weights: Floats) -> float:
    """Return the mean log-likelihood of what came, the higher the better."""
    expected = probability(scale, predictor)
    told = np.where(happened, np.log(expected), np.log1p(-expected))
    return float(np.average(told, weights=weights))
