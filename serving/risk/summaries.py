"""What became of a population: counts by part, and their sum."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from models.risk.score import Floats, Score

_HISTOGRAM_BINS = 40


@dataclass(slots=True)
class Summary:
    """What became of a population."""

    score: str
    version: str
    people: int = 0
    scored: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    """By status and input: `missing:waist_cm`."""
    quantiles: dict[str, float] = field(default_factory=dict)
    """Of the values: of 5, 25, 50, 75 and 95 % of the people; from a histogram."""
    histogram: list[int] = field(default_factory=list)
    histogram_edges: list[float] = field(default_factory=list)
    strays: int = 0
    """Resources of a bulk export that are of none of its patients, and so were not used."""


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Of one part, kept beside it so that a resumed run need not read it again."""

    people: int
    statuses: Mapping[str, int]
    categories: Mapping[str, int]
    refusals: Mapping[str, int]
    values: Mapping[str, int]
    """Counts by value, rounded to three digits: small, and exact enough for a distribution."""


def counted_values(values: Floats) -> dict[str, int]:
    """Return the counts of finite `values` by value, rounded to three digits."""
    numbers, counts = np.unique(_three_digits(values), return_counts=True)
    return {f"{n:g}": int(c) for n, c in zip(numbers, counts, strict=True)}


def _three_digits(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (2 - np.floor(np.log10(np.abs(values))))
    rounded = np.round(values * scale) / scale
    return np.where(values == 0, 0.0, rounded)


def summary_of(score: Score, parts: list[PartCounts]) -> Summary:
    """Add up what became of all parts."""
    summary = Summary(score.id, score.version)
    values: Counter[float] = Counter()
    for name in ("statuses", "categories", "refusals"):
        total: Counter[str] = Counter()
        for part in parts:
            total.update(getattr(part, name))
        getattr(summary, name).update(total.most_common())
    for part in parts:
        summary.people += part.people
        values.update({float(value): count for value, count in part.values.items()})
    summary.scored = sum(values.values())
    if values:
        _distribute(summary, values)
    return summary


def _distribute(summary: Summary, values: Counter[float]) -> None:
    numbers = np.array(sorted(values))
    counts = np.array([values[number] for number in numbers.tolist()])
    ranks = np.cumsum(counts) / counts.sum()
    for share in (5, 25, 50, 75, 95):
        place = min(int(np.searchsorted(ranks, share / 100)), len(numbers) - 1)
        summary.quantiles[f"p{share}"] = float(numbers[place])
    # The last percent would squeeze all others into the first bins.
    top = float(numbers[min(int(np.searchsorted(ranks, 0.99)), len(numbers) - 1)])
    span = (float(numbers[0]), top if top > numbers[0] else float(numbers[0]) + 1.0)
    heights, edges = np.histogram(
        np.minimum(numbers, span[1]), _HISTOGRAM_BINS, span, weights=counts
    )
    summary.histogram = [int(height) for height in heights]
    summary.histogram_edges = [float(edge) for edge in edges]
