"""Has what a model sees, or says, moved away from its reference?

For every number (acquisition facts, embedding, distance, probability) a two-sample
Kolmogorov-Smirnov test; for every rate (refused, abstaining, each coded fact) Fisher's exact test.
All tests of one report share one false alarm rate by Holm's method (Scand J Stat 1979;6:65), and an
alarm also needs a difference that matters: thousands of readings make any difference significant.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.findings import Decision, Verdict
from models.observation import Observation

FALSE_ALARM_RATE = 0.01
"""Share of reports on an unchanged stream that may raise an alarm."""
FEWEST = 50
"""Readings that a report needs; fewer say nothing."""
LEAST_DISTANCE = 0.15
"""Of two distributions (Kolmogorov-Smirnov, 0 to 1), to matter."""
LEAST_RATE_CHANGE = 0.05


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that was compared with the reference."""

    name: str
    kind: str
    """`input`, `embedding`, `score` or `rate`."""
    reference: float
    """Median, or rate."""
    found: float
    effect: float
    """Distance of the distributions, or change of the rate."""
    p_value: float
    """Corrected for the number of tests."""
    alarm: bool


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found for one model version at one institution."""

    institution: str
    readings: int
    reference_readings: int
    measures: tuple[Measure, ...]

    @property
    def alarms(self) -> tuple[Measure, ...]:
        """The measures that moved."""
        return tuple(measure for measure in self.measures if measure.alarm)

    @property
    def enough(self) -> bool:
        """Whether there were readings enough to say anything."""
        return self.readings >= FEWEST


@dataclass(frozen=True, slots=True)
class _Tested:
    name: str
    kind: str
    reference: float
    found: float
    effect: float
    least: float
    p_value: float


def compare(
    institution: str, reference: Sequence[Observation], found: Sequence[Observation]
) -> Drift:
    """Compare readings with the reference; too few of them give no measures."""
    if len(found) < FEWEST or len(reference) < FEWEST:
        return Drift(institution, len(found), len(reference), ())
    tested = [*_numbers(reference, found), *_rates(reference, found)]
    in_order = sorted(tested, key=lambda each: each.p_value)
    corrected, worst = {}, 0.0
    for rank, each in enumerate(in_order):
        worst = max(worst, min(1.0, each.p_value * (len(in_order) - rank)))
        corrected[each.name] = worst
    measures = tuple(
        Measure(
            each.name,
            each.kind,
            each.reference,
            each.found,
            each.effect,
            corrected[each.name],
            corrected[each.name] < FALSE_ALARM_RATE and abs(each.effect) >= each.least,
        )
        for each in tested
    )
    return Drift(institution, len(found), len(reference), measures)


def by_institution(observations: Sequence[Observation]) -> Mapping[str, list[Observation]]:
    """Return the observations of each institution, and of all together under `all`."""
    grouped: dict[str, list[Observation]] = {"all": list(observations)}
    for each in observations:
        grouped.setdefault(each.institution, []).append(each)
    # One institution alone is the same as all together.
    if len(grouped) == 2:
        del grouped["all"]
    return grouped


def _numbers(reference: Sequence[Observation], found: Sequence[Observation]) -> list[_Tested]:
    tested = []
    for name, (kind, take) in _series([*reference, *found]).items():
        before, now = _known(reference, take), _known(found, take)
        if min(len(before), len(now)) < FEWEST:
            continue
        result = stats.ks_2samp(before, now)
        distance, p_value = float(result.statistic), float(result.pvalue)
        middles = float(np.median(before)), float(np.median(now))
        tested.append(_Tested(name, kind, *middles, distance, LEAST_DISTANCE, p_value))
    return tested


Take = Callable[[Observation], float | None]


def _series(observations: Sequence[Observation]) -> dict[str, tuple[str, Take]]:
    """Return how to take each number from an observation, by its name."""
    series: dict[str, tuple[str, Take]] = {}
    for fact in dict.fromkeys(name for each in observations for name in each.facts):
        series[fact] = "input", _fact(fact)
    for at in range(max((len(each.position) for each in observations), default=0)):
        series[f"embedding {at + 1}"] = "embedding", _component(at)
    series["distance"] = "embedding", lambda each: each.ood_score
    for label in dict.fromkeys(label for each in observations for label in each.said):
        series[f"probability of {label}"] = "score", _probability(label)
    return series


def _fact(name: str) -> Take:
    return lambda each: each.facts.get(name)


def _component(at: int) -> Take:
    return lambda each: each.position[at] if len(each.position) > at else None


def _probability(label: str) -> Take:
    return lambda each: each.said[label].probability if label in each.said else None


def _known(observations: Sequence[Observation], take: Take) -> NDArray[np.float64]:
    values = [value for each in observations if (value := take(each)) is not None]
    return np.array(values, dtype=np.float64)


def _rates(reference: Sequence[Observation], found: Sequence[Observation]) -> list[_Tested]:
    before, now = _events(reference), _events(found)
    tested = []
    for name in dict.fromkeys([*before, *now]):
        first, total_first = before.get(name, (0, len(reference)))
        second, total_second = now.get(name, (0, len(found)))
        if not total_first or not total_second:
            continue
        table = [[first, total_first - first], [second, total_second - second]]
        rates = first / total_first, second / total_second
        p_value = float(stats.fisher_exact(table)[1])
        change = rates[1] - rates[0]
        tested.append(_Tested(name, "rate", *rates, change, LEAST_RATE_CHANGE, p_value))
    return tested


def _events(observations: Sequence[Observation]) -> dict[str, tuple[int, int]]:
    """Return how often each thing happened, and of how many, by its name."""
    events: dict[str, tuple[int, int]] = {}
    total = len(observations)
    for verdict in Verdict:
        if verdict is not Verdict.ACCEPTED:
            count = sum(each.verdict == verdict for each in observations)
            events[f"refused: {verdict.value}"] = count, total
    for label in dict.fromkeys(label for each in observations for label in each.said):
        said = [each.said[label] for each in observations if label in each.said]
        abstained = sum(each.decision == Decision.INDETERMINATE for each in said)
        events[f"abstains on {label}"] = abstained, len(said)
    codes = Counter((name, code) for each in observations for name, code in each.codes.items())
    for (name, code), count in codes.items():
        events[f"{name} is {code}"] = count, total
    return events


def as_json(drift: Drift) -> dict[str, Any]:
    """Return `drift` for JSON, alarms first."""
    measures = sorted(drift.measures, key=lambda each: (not each.alarm, each.p_value))
    return {
        "institution": drift.institution,
        "readings": drift.readings,
        "reference_readings": drift.reference_readings,
        "enough": drift.enough,
        "alarms": [measure.name for measure in drift.alarms],
        "measures": [
            {name: _finite(getattr(each, name)) for name in Measure.__dataclass_fields__}
            for each in measures
        ],
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
