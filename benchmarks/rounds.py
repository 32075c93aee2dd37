"""Measuring several contenders in turns, so that a machine's moods fall on all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Contender = Callable[[], float]
"""Does a fixed piece of work and returns its figure: seconds for one image, or images a second."""
Samples = Mapping[str, list[float]]
"""Figures of each contender, one for each round."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and the middle half of what was measured."""

    median: float
    lower_quartile: float
    upper_quartile: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Summarise `values`, at least one."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)


def take_turns(contenders: Mapping[str, Contender], rounds: int) -> Samples:
    """Run every contender once a round; who begins changes from round to round."""
    names = list(contenders)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(contenders[name]())
    return samples


def ratio(samples: Samples, numerator: str, denominator: str) -> Spread:
    """Return how many times the figure of `denominator` that of `numerator` is, round by round."""
    pairs = zip(samples[numerator], samples[denominator], strict=True)
    return Spread.of([above / below for above, below in pairs])


def seconds_each(work: Callable[[], object], repeats: int) -> Contender:
    """Return a contender that does `work` some times; its figure is the median in seconds.

    Each turn begins with one call that is not counted: the caches are full of the others' data.
    """

    def turn() -> float:
        work()
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    return turn
