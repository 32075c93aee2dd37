"""An additive model on the log-odds: a curve for each number, a step for each category.

log-odds = baseline + sum over inputs of f_input(value), each f piecewise linear with knots at
quantiles of the training data and constant outside them (a generalised additive model: Hastie &
Tibshirani, Stat Sci 1986;1:297). So the contribution of each input is exact and can be read off the
graph: nothing is approximated, and the contributions sum to the log-odds. An input that is missing
adds exactly nothing, and so does the average of an input that is known.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from models.errors import DataError
from models.table import TableSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AdditiveConfig:
    """How the curves are fitted."""

    knots: int = 5
    """Bends of the curve of each number, between its `outer_quantile` and the opposite one."""
    outer_quantile: float = 0.005
    """The curves are constant below this quantile and above the opposite one."""
    penalties: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    """Inverse strengths of the ridge that are tried (`C` of scikit-learn)."""
    folds: int = 5
    """Of the cross-validation by group that chooses among them."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What the curves are made of; column b belongs to input `owner[b]`."""

    low: Floats
    """Values are held above this, shape (inputs,)."""
    high: Floats
    owner: NDArray[np.intp]
    """Shape (columns,)."""
    knot: Floats
    """Where the column's ramp begins, or which category it is, shape (columns,)."""
    is_step: NDArray[np.bool_]
    """Whether the column is 1 for one category and 0 for others, shape (columns,)."""
    mean: Floats
    """Of each column over the training data, shape (columns,); what a missing input counts as."""
    deviation: Floats
    """Shape (columns,)."""

    def columns(self, values: Floats) -> Floats:
        """Return the columns of inputs, shape (n, inputs) -> (n, columns); NaN is missing."""
        own = np.clip(values, self.low, self.high)[:, self.owner]
        ramps = np.maximum(own - self.knot, 0.0)
        made = np.where(self.is_step, own == self.knot, ramps)
        filled = np.where(np.isnan(own), self.mean, made)
        return np.asarray((filled - self.mean) / self.deviation)


@dataclass(frozen=True, slots=True)
class AdditiveModel:
    """A fitted model."""

    basis: Basis
    weights: Floats
    """Of the standardised columns, shape (columns,)."""
    baseline: float
    """The log-odds of an average person."""
    penalty: float

    def contributions(self, values: Floats) -> Floats:
        """Return what each input adds to the log-odds, shape (n, inputs)."""
        parts = self.basis.columns(values) * self.weights
        owners = np.eye(len(self.basis.low))[self.basis.owner]
        return np.asarray(parts @ owners)

    def log_odds(self, values: Floats) -> Floats:
        """Return the log-odds, shape (n,)."""
        return np.asarray(self.baseline + self.contributions(values).sum(axis=1))


def fit(
    spec: TableSpec,
    values: Floats,
    truth: NDArray[np.bool_],
    weights: Floats,
    groups: NDArray[np.str_],
    config: AdditiveConfig,
) -> AdditiveModel:
    """Fit the model; samples of weight 0 are those whose outcome is not known.

    Args:
        spec: the inputs.
        values: shape (n, inputs), NaN where missing.
        truth: shape (n,).
        weights: shape (n,).
        groups: of the cross-validation, shape (n,).
        config: how.

    Raises:
        DataError: an input does not vary, or only one class has weight.
    """
    known = weights > 0
    if not truth[known].any() or truth[known].all():
        raise DataError("The training part holds only one class; make another split.")
    basis = _basis(spec, values[known], config)
    columns = basis.columns(values)
    penalty = _best_penalty(columns[known], truth[known], weights[known], groups[known], config)
    fitted = _logistic(penalty).fit(columns[known], truth[known], weights[known])
    return AdditiveModel(basis, fitted.coef_[0], float(fitted.intercept_[0]), penalty)


def _basis(spec: TableSpec, values: Floats, config: AdditiveConfig) -> Basis:
    low, high = np.zeros(len(spec.inputs)), np.zeros(len(spec.inputs))
    entries: list[tuple[int, float, bool]] = []
    for at, each in enumerate(spec.inputs):
        own = values[~np.isnan(values[:, at]), at]
        if len(np.unique(own)) < 2:
            raise DataError(f"{each.name} has one value alone in the training part; leave it out.")
        if each.categories:
            low[at], high[at] = 0, len(each.categories) - 1
            entries += [(at, float(place), True) for place in np.unique(own)[1:]]
        else:
            ends = (config.outer_quantile, 1 - config.outer_quantile)
            low[at], high[at] = np.quantile(own, ends)
            inner = np.quantile(own, np.linspace(*ends, config.knots + 2)[:-1])
            inner[0] = low[at]
            entries += [(at, float(knot), False) for knot in np.unique(inner) if knot < high[at]]
    owner, knot, is_step = (np.array(column) for column in zip(*entries, strict=True))
    ones = np.ones(len(owner))
    plain = Basis(low, high, owner.astype(np.intp), knot, is_step, 0 * ones, ones)
    raw = np.where(np.isnan(values[:, plain.owner]), np.nan, plain.columns(values))
    mean, deviation = np.nanmean(raw, axis=0), np.nanstd(raw, axis=0)
    return Basis(low, high, plain.owner, knot, is_step, mean, np.maximum(deviation, 1e-9))


def _logistic(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=2000)


def _best_penalty(
    columns: Floats,
    truth: NDArray[np.bool_],
    weights: Floats,
    groups: NDArray[np.str_],
    config: AdditiveConfig,
) -> float:
    losses = []
    for penalty in config.penalties:
        loss = 0.0
        for train, held in GroupKFold(config.folds).split(columns, truth, groups):
            model = _logistic(penalty).fit(columns[train], truth[train], weights[train])
            told = model.predict_log_proba(columns[held])
            loss -= float(
                (weights[held] * told[np.arange(len(held)), truth[held].astype(int)]).sum()
            )
        losses.append(loss)
    return config.penalties[int(np.argmin(losses))]
