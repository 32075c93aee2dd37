"""What each input adds to a score: Shapley values on the scale on which the equation adds up.

For a linear predictor they are coefficient times difference, exactly; an interaction of two inputs
is shared evenly between them. They sum to the difference between the person and a reference of the
same sex. Shapley LS, Contributions to the Theory of Games II, 1953.
"""

from dataclasses import dataclass
from itertools import product
from math import factorial

import numpy as np

from models.risk.derived import complete
from models.risk.evaluation import checked_needs
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
    amounts = _shapley(_values(score, columns, names), len(names))
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
    own = np.array(list(product((False, True), repeat=len(names))))
    mixed = {name: np.repeat(column, len(own)) for name, column in columns.items()}
    for place, name in enumerate(names):
        mixed[name] = np.where(own[:, place], columns[name][0], score.reference[name])
    for entry in (INPUTS[need.name] for need in score.needs):
        # A total follows from the items that are varied.
        if entry.derived_from and set(names) & set(entry.derived_from) - set(columns_kept(score)):
            mixed[entry.name] = np.full(len(own), np.nan)
    with np.errstate(all="ignore"):
        return on_scale(score.scale, score.kernel(complete(mixed, checked_needs(score))))


def columns_kept(score: Score) -> tuple[str, ...]:
    """Return the inputs that a score uses for themselves, not only as parts of another."""
    derived = [INPUTS[need.name] for need in score.needs if INPUTS[need.name].derived_from]
    parts = {part for entry in derived for part in entry.derived_from}
    return tuple(need.name for need in score.needs if need.required or need.name not in parts)


def _shapley(values: Floats, count: int) -> Floats:
    table = values.reshape((2,) * count)
    weight = [
        factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)
    ]
    sizes = np.indices((2,) * (count - 1)).sum(axis=0) if count > 1 else np.zeros((), np.intp)
    weights = np.array(weight)[sizes]
    return np.array(
        [
            (weights * (table.take(1, axis=axis) - table.take(0, axis=axis))).sum()
            for axis in range(count)
        ]
    )
