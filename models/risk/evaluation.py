"""Scoring many people at once: check every input, compute, say where there is no number.

One person is a cohort of one, so that a single answer and a batch cannot differ.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.risk.derived import complete
from models.risk.inputs import INPUTS
from models.risk.score import Columns, Floats, Mask, Need, Score, Status

BLOCK = 16_384
"""People computed at a time: their columns stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The scores of a cohort."""

    values: Floats
    """Shape (people,), NaN where there is no number."""
    status: NDArray[np.uint8]
    """`Status`, shape (people,)."""
    blamed: NDArray[np.int16]
    """Which check decided the status: an index into `score.checked` followed by
    `score.rules`; -1 where all is well."""
    bands: NDArray[np.int16]
    """Index into `score.bands`, -1 where there is no number."""


def evaluate(score: Score, columns: Columns, people: int) -> Outcome:
    """Score `people` of which `columns` tell what is known; absent columns are missing inputs."""
    outcome = Outcome(
        np.full(people, np.nan),
        np.zeros(people, np.uint8),
        np.full(people, -1, np.int16),
        np.full(people, -1, np.int16),
    )
    needs = score.checked
    nothing = np.full(min(people, BLOCK), np.nan)
    for start in range(0, people, BLOCK):
        part = slice(start, min(start + BLOCK, people))
        size = part.stop - part.start
        block = {
            need.name: _with_default(need, columns[need.name][part])
            if need.name in columns
            else nothing[:size]
            if need.default is None
            else np.full(size, float(need.default))
            for need in needs
        }
        _evaluate_block(score, needs, complete(block, needs), outcome, part)
    return outcome


def _with_default(need: Need, column: Floats) -> Floats:
    """Fill in the option of the equation that holds where none was asked for."""
    if need.default is None:
        return column
    return np.where(np.isnan(column), need.default, column)


def _evaluate_block(
    score: Score, needs: tuple[Need, ...], block: Columns, outcome: Outcome, part: slice
) -> None:
    status, blamed = outcome.status[part], outcome.blamed[part]
    with np.errstate(all="ignore"):
        for index, need in enumerate(needs):
            check(need, index, block[need.name], status, blamed)
        for index, rule in enumerate(score.rules, len(needs)):
            broken = rule.broken(block)
            if broken.any():
                _blame(broken, rule.status, index, status, blamed)
        valid = status <= _EXTRAPOLATED
        everyone = bool(valid.all())
        if not everyone and not valid.any():
            return
        chosen = block if everyone else {name: column[valid] for name, column in block.items()}
        values = score.kernel(chosen)
        finite = np.isfinite(values)
        if not finite.all():
            # No equation here gives this within its ranges; what is no number is never shown.
            values = np.where(finite, values, np.nan)
            status[np.flatnonzero(valid)[~finite]] = Status.OUT_OF_POPULATION
        bands = np.where(finite, score.categorise(values, chosen), -1) if score.bands else -1
    if everyone:
        outcome.values[part], outcome.bands[part] = values, bands
    else:
        outcome.values[part][valid], outcome.bands[part][valid] = values, bands


def check(
    need: Need,
    index: int,
    column: Floats,
    status: NDArray[np.uint8],
    blamed: NDArray[np.int16],
) -> None:
    """Set the status of those for whom `column` is no good; the first input to fail is blamed."""
    entry = INPUTS[need.name]
    # Most cohorts are clean: two passes over the column show it. NaN makes both of them NaN.
    lowest, highest = column.min(initial=np.inf), column.max(initial=-np.inf)
    if lowest != lowest:
        missing = np.isnan(column)
        if need.required:
            _blame(missing, Status.MISSING, index, status, blamed)
        if missing.all():
            return
        lowest, highest = np.nanmin(column), np.nanmax(column)
    over_limit = highest >= need.high if need.below else highest > need.high
    in_plausible = lowest >= entry.low and highest <= entry.high
    if in_plausible and lowest >= need.low and not over_limit:
        return
    if not in_plausible:
        _blame(np.isinf(column), Status.NOT_UNDERSTOOD, index, status, blamed)
        implausible = (column < entry.low) | (column > entry.high)
        _blame(implausible, Status.IMPLAUSIBLE, index, status, blamed)
    _check_population(need, index, column, status, blamed)


def _check_population(
    need: Need,
    index: int,
    column: Floats,
    status: NDArray[np.uint8],
    blamed: NDArray[np.int16],
) -> None:
    under = column < need.low
    over = column >= need.high if need.below else column > need.high
    near_under = under & (column >= need.wider_low) if need.wider_low is not None else None
    near_over = over & (column <= need.wider_high) if need.wider_high is not None else None
    for outside, near in ((under, near_under), (over, near_over)):
        if near is not None:
            _blame(near, Status.EXTRAPOLATED, index, status, blamed)
            outside = outside & ~near
        _blame(outside, Status.OUT_OF_POPULATION, index, status, blamed)


def _blame(
    where: Mask,
    what: Status,
    index: int,
    status: NDArray[np.uint8],
    blamed: NDArray[np.int16],
) -> None:
    if not where.any():
        return
    # A refusal replaces a mark; neither replaces an earlier refusal, nor a mark a mark.
    still_open = where & (status <= (_OK if what == _EXTRAPOLATED else _EXTRAPOLATED))
    status[still_open] = what
    blamed[still_open] = index


_OK, _EXTRAPOLATED = int(Status.OK), int(Status.EXTRAPOLATED)
