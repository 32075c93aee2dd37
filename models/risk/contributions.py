"""What each input adds to a score: Shapley values on the scale on which the equation adds up.

For a linear predictor they are coefficient times difference, exactly; an interaction of two inputs
is shared evenly between them. They sum to the difference between the person and a reference of the
same sex. Shapley LS, Contributions to the Theory of Games II, 1953.
"""

from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np
from numpy.typing import NDArray

from models.risk.derived import complete
from models.risk.inputs import INPUTS
from models.risk.scales import Scale, on_scale
from models.risk.score import Columns, Floats, Score

_MOST_INPUTS = 14
"""2^14 evaluations take some milliseconds."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """Of one input."""

    input: str
    amount: float
    """On the score's scale."""
    factor: float | None
    """By which it multiplies hazard, odds or value; None where points are added."""
    reference: float
    """Value of the input against which it is told."""


def contributions_of(score: Score, columns: Columns) -> tuple[Contribution, ...]:
    """Return the contributions for one person (columns of one), the largest first.

    Empty where the score has no reference, or the scale no number (a risk of exactly zero).
    """
    names = [
        name
        for name, reference in score.reference.items()
        if np.isfinite(columns.get(name, _UNKNOWN)[0]) and columns[name][0] != reference
    ][:_MOST_INPUTS]
    if not names:
        return ()
    amounts = _shapley_matrix(len(names)) @ _values(score, columns, names)
    if not np.isfinite(amounts).all():
        return ()
    told = [
        Contribution(
            name,
            float(amount),
            None if score.scale is Scale.VALUE else float(np.exp(amount)),
            score.reference[name],
        )
        for name, amount in zip(names, amounts, strict=True)
        if abs(amount) > _NOTHING
    ]
    return tuple(sorted(told, key=lambda one: -abs(one.amount)))


_UNKNOWN = np.array([np.nan])
_NOTHING = 1e-12


def _values(score: Score, columns: Columns, names: list[str]) -> Floats:
    """Return the score for every mixture of person and reference, shape (2 ** names,)."""
    own = _mixtures(len(names))
    rows = own.shape[1]
    mixed = {name: np.full(rows, column[0]) for name, column in columns.items()}
    for place, name in enumerate(names):
        mixed[name] = np.where(own[place], columns[name][0], score.reference[name])
    for entry in (INPUTS[need.name] for need in score.needs):
        # A total follows from the items that are varied.
        if entry.derived_from and set(names) & set(entry.derived_from) - set(columns_kept(score)):
            mixed[entry.name] = np.full(rows, np.nan)
    with np.errstate(all="ignore"):
        return on_scale(score.scale, score.kernel(complete(mixed, score.checked)))


def columns_kept(score: Score) -> tuple[str, ...]:
    """Return the inputs that a score uses for themselves, not only as parts of another."""
    derived = [INPUTS[need.name] for need in score.needs if INPUTS[need.name].derived_from]
    parts = {part for entry in derived for part in entry.derived_from}
    return tuple(need.name for need in score.needs if need.required or need.name not in parts)


@cache
def _mixtures(count: int) -> NDArray[np.bool_]:
    """Return which of `count` inputs are the person's own, shape (count, 2 ** count)."""
    numbers = np.arange(2**count)
    return (numbers >> np.arange(count)[:, None] & 1).astype(np.bool_)


@cache
def _shapley_matrix(count: int) -> Floats:
    """Return what makes Shapley values of the values of all mixtures, shape (count, 2 ** count)."""
    own = _mixtures(count)
    others = own.sum(axis=0) - own
    orders = [factorial(k) * factorial(count - k - 1) / factorial(count) for k in range(count)]
    matrix: Floats = np.where(own, 1.0, -1.0) * np.array(orders)[others]
    return matrix
