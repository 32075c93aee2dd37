"""How well a risk agrees with what came, before and after: on people it was not fitted to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from training import metrics
from training.recalibration.cohort import Cohort
from training.recalibration.fitting import fit, log_score, probability

Floats = NDArray[np.float64]

LEAST_EVENTS_FIT = 100
"""And as many people without: Vergouwe et al., J Clin Epidemiol 2005;58:475; Collins et al., Stat
Med 2016;35:214."""
LEAST_EVENTS_HELD_OUT = 50
LEAST_SHARE_WATCHED = 0.1
"""Of people still under observation at the horizon: below it single people count tenfold."""
_SUBGROUP_EVENTS = 20
_HELD_OUT = 1 / 3
_REPEATS, _MANY = 500, 50_000
_REPEATS_OF_MANY = 200


@dataclass(frozen=True, slots=True)
class Parts:
    """Positions of those it is fitted to, and of those it is held against."""

    fitted: NDArray[np.intp]
    held_out: NDArray[np.intp]


def divided(cohort: Cohort, seed: int) -> Parts:
    """Divide a cohort by groups, those with the event and those without alike.

    Raises:
        DataError: it has too few events, or too few were watched to the horizon.
    """
    everyone = np.arange(len(cohort))
    happened, weights = cohort.seen(everyone)
    _require_enough(cohort, happened, weights)
    names, group = np.unique(cohort.groups, return_inverse=True)
    with_event = np.bincount(group, happened, len(names)) > 0
    rng = np.random.default_rng(seed)
    held = np.zeros(len(names), np.bool_)
    for kind in (with_event, ~with_event):
        members = rng.permutation(np.flatnonzero(kind))
        held[members[: round(_HELD_OUT * len(members))]] = True
    return Parts(np.flatnonzero(~held[group]), np.flatnonzero(held[group]))


def _require_enough(cohort: Cohort, happened: NDArray[np.bool_], weights: Floats) -> None:
    events, others = int(happened.sum()), int(((weights > 0) & ~happened).sum())
    least = LEAST_EVENTS_FIT + LEAST_EVENTS_HELD_OUT
    if min(events, others) < least:
        raise DataError(
            f"Of {cohort.rows} rows {len(cohort)} have a number; of these {events} had the event "
            f"within {cohort.horizon_years:g} years and {others} are known not to have had it. At "
            f"least {least} of each are needed ({LEAST_EVENTS_FIT} to fit, "
            f"{LEAST_EVENTS_HELD_OUT} to check). {_most_refused(cohort)}"
        )
    largest = float(weights.max())
    if largest > 1 / LEAST_SHARE_WATCHED:
        raise DataError(
            f"Only {1 / largest:.1%} of people were still under observation at "
            f"{cohort.horizon_years:g} years; at least {LEAST_SHARE_WATCHED:.0%} are needed. "
            "Wait for longer follow-up."
        )


def _most_refused(cohort: Cohort) -> str:
    if not cohort.refused:
        return "No row was refused."
    told = ", ".join(f"{count} {why}" for why, count in list(cohort.refused.items())[:3])
    return f"Rows without a number: {told}."


@dataclass(frozen=True, slots=True)
class Fitted:
    """Intercept and slope with their 95 % intervals from resampled people."""

    facts: Mapping[str, Mapping[str, float]]
    """`intercept` and `slope`, each with `value`, `low` and `high`."""

    @property
    def intercept(self) -> float:
        """By which the predictor is moved."""
        return self.facts["intercept"]["value"]

    @property
    def slope(self) -> float:
        """By which it is stretched."""
        return self.facts["slope"]["value"]

    def applied(self, predictor: Floats) -> Floats:
        """Return the recalibrated predictor."""
        return self.intercept + self.slope * predictor


def fitted(cohort: Cohort, chosen: NDArray[np.intp], seed: int) -> Fitted:
    """Fit intercept and slope to `chosen`.

    Raises:
        DataError: the slope is not surely above 0: the score does not order these people.
    """

    scale = cohort.score.scale
    start = fit(scale, cohort.predictor[chosen], *cohort.seen(chosen))

    def estimate(drawn: NDArray[np.intp]) -> dict[str, float]:
        people = chosen[drawn]
        found = fit(scale, cohort.predictor[people], *cohort.seen(people), start=start)
        return dict(zip(("intercept", "slope"), found, strict=True))

    groups, repeats = cohort.groups[chosen], repeats_for(len(chosen))
    facts = metrics.bootstrap_groups(groups, estimate, repeats, seed)
    slope = facts["slope"]
    if slope["low"] <= 0:
        raise DataError(
            f"The slope is {slope['value']:.3f} (95 % interval {slope['low']:.3f} to "
            f"{slope['high']:.3f}): {cohort.score.id} does not surely order these people by their "
            "risk, and no intercept or slope can mend that. Another score is needed."
        )
    return Fitted(facts)


def repeats_for(people: int) -> int:
    """Return how many bootstrap samples are drawn: fewer where they differ little."""
    return _REPEATS if people <= _MANY else _REPEATS_OF_MANY


def compared(
    cohort: Cohort, held_out: NDArray[np.intp], found: Fitted, seed: int
) -> dict[str, Any]:
    """Return the figures of the published and of the recalibrated risk on the held-out part.

    Raises:
        DataError: the recalibrated risk does not do better there.
    """
    scale, predictor = cohort.score.scale, cohort.predictor[held_out]
    happened, weights = cohort.seen(held_out)
    before = log_score(scale, predictor, happened, weights)
    after = log_score(scale, found.applied(predictor), happened, weights)
    if after <= before:
        raise DataError(
            f"On the {len(held_out)} people held out of the fit the recalibrated risk does no "
            f"better than the published one (mean log-likelihood {after:.6f} against "
            f"{before:.6f}): as far as this cohort can tell, {cohort.score.id} is calibrated. "
            "Use the published score."
        )
    both = {"before": predictor, "after": found.applied(predictor)}
    return {
        "people": len(held_out),
        "events": int(happened.sum()),
        "unknown": int((weights == 0).sum()),
        **{
            name: _with_intervals(cohort, held_out, each, seed) | {"log_likelihood": _plain(score)}
            for (name, each), score in zip(both.items(), (before, after), strict=True)
        },
        "subgroups": _subgroups(cohort, held_out, both),
    }


def _plain(value: float) -> dict[str, float]:
    return {"value": value}


def _with_intervals(
    cohort: Cohort, held_out: NDArray[np.intp], predictor: Floats, seed: int
) -> dict[str, dict[str, float]]:
    def figures(drawn: NDArray[np.intp]) -> dict[str, float]:
        return calibration(cohort, held_out[drawn], predictor[drawn])

    repeats = repeats_for(len(held_out)) // 2
    return metrics.bootstrap_groups(cohort.groups[held_out], figures, repeats, seed)


def calibration(cohort: Cohort, chosen: NDArray[np.intp], predictor: Floats) -> dict[str, float]:
    """Return the figures of one risk on people that may come several times.

    Mean risk and what came (percent) and their ratio; intercept with the slope held to 1 and slope
    (Van Calster et al., BMC Med 2019;17:230: 0 and 1 are right); discrimination; errors.
    """
    scale = cohort.score.scale
    happened, weights = cohort.seen(chosen)
    risk = probability(scale, predictor)
    expected = float(np.average(risk, weights=weights))
    observed = float(np.average(happened, weights=weights))
    return {
        "mean_risk_percent": 100 * expected,
        "observed_percent": 100 * observed,
        "observed_to_expected": observed / expected,
        "intercept": fit(scale, predictor, happened, weights, slope=1.0)[0],
        "slope": fit(scale, predictor, happened, weights)[1],
        "auc": metrics.auc(happened, risk, weights),
        "brier": metrics.brier(happened, risk, weights),
        "calibration_error": metrics.calibration_error(happened, risk, weights),
    }


def _subgroups(
    cohort: Cohort, held_out: NDArray[np.intp], predictors: Mapping[str, Floats]
) -> list[dict[str, Any]]:
    rows = []
    for attribute, values in cohort.subgroups.items():
        for value in sorted(set(values[held_out].tolist())):
            own = values[held_out] == value
            happened, weights = cohort.seen(held_out[own])
            if happened.sum() < _SUBGROUP_EVENTS:
                continue
            observed = float(np.average(happened, weights=weights))
            ratios = {
                name: observed
                / float(np.average(probability(cohort.score.scale, each[own]), weights=weights))
                for name, each in predictors.items()
            }
            counts = {"people": int(own.sum()), "events": int(happened.sum())}
            rows.append({"attribute": attribute, "value": value, **counts, **ratios})
    return rows
